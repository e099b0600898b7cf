"""The error tree. One handler (app/web/errors.py) turns these into pages, fragments or problem JSON.

TunebookError            500
├── Invalid              422   what was sent cannot be used; `fields` says where
├── NotFound             404   no such thing, or not yours
├── SignInNeeded         401
├── Forbidden            403
├── Conflict             409   the thing has moved on since you looked
├── TooLarge             413
└── Unavailable          503   something Tunebook needs is missing; says what to install
"""


class TunebookError(Exception):
    """An expected failure, told to the user as `message` and `hint` (how to mend it)."""

    status = 500
    title = "Something went wrong"

    def __init__(self, message: str, hint: str = "", fields: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.fields = fields or {}


class Invalid(TunebookError):
    """What was sent cannot be used; `fields` maps a field's name to its message."""

    status = 422
    title = "That cannot be used as it is"


class NotFound(TunebookError):
    """The thing does not exist or is not the member's to see; the two are not told apart."""

    status = 404
    title = "Not found"


class SignInNeeded(TunebookError):
    """No valid session or token came with the request."""

    status = 401
    title = "Please sign in"


class Forbidden(TunebookError):
    """The member or the request's origin may not do this."""

    status = 403
    title = "Not allowed"


class Conflict(TunebookError):
    """The thing has moved on: somebody else changed it, or its state does not allow this."""

    status = 409
    title = "That is no longer possible"


class TooLarge(TunebookError):
    """More bytes than the settings allow."""

    status = 413
    title = "Too large"


class Unavailable(TunebookError):
    """Something Tunebook needs is not there; the hint says what to install or start."""

    status = 503
    title = "Not available"
