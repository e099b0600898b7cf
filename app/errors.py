"""The error tree. One handler (app/web/errors.py) turns these into pages, fragments or problem JSON.

TunebookError            500
├── Invalid              422   what was sent cannot be used; `fields` says where
├── NotFound             404   no such thing, or not yours
│   └── ModelNotFound          no such model at the door
├── SignInNeeded         401
├── Forbidden            403
├── Conflict             409   the thing has moved on since you looked
├── TooLarge             413
├── TooMany              429   too often in a short time; says how long to wait
├── OverBudget           429   a budget does not allow it; nothing was asked
├── Unavailable          503   something Tunebook needs is missing; says what to install
└── ProviderError        502   a hosted service did not do what it was asked; `retryable` says whether asking
    │                          again can help
    ├── Refused                a clear no: nothing was done, and asking again changes nothing
    │   ├── Gone               there is no such thing at the service (404, 410)
    │   └── AlreadyThere       the id that we chose is taken: find it instead of making it again
    ├── KeyRefused             the key is wrong, revoked, or may not do this
    ├── OutOfCredit            the account's money or quota has run out
    ├── Busy                   429, or 503 with a time: nothing was done, ask again after `wait` seconds
    └── Unclear                no answer, or none to be read: nobody knows whether it was done
"""


class TunebookError(Exception):
    """An expected failure, told to the user as `message` and `hint` (how to mend it)."""

    status = 500
    title = "Something went wrong"
    # What programs tell it by at the door (app/door/error_shape.py), where its class says too little; and seconds after
    # which asking again can help.
    reason = ""
    wait: float | None = None

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
    # (id, name) of another project of the member's that has it.
    project: tuple[int, str] | None = None


class ModelNotFound(NotFound):
    """No model answers to this name at the door."""

    reason = "model_not_found"


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


class TooMany(TunebookError):
    """Asked too often in a short time; the hint says how long to wait."""

    status = 429
    title = "Too many tries"


class OverBudget(TunebookError):
    """A budget of the lab or of the token does not allow it."""

    status = 429
    title = "No budget is left for it"
    reason = "insufficient_quota"


class Unavailable(TunebookError):
    """Something Tunebook needs is not there; the hint says what to install or start."""

    status = 503
    title = "Not available"


class ProviderError(TunebookError):
    """A hosted service did not do what it was asked. `wait`: seconds it wants to be left alone; `answer`: the bytes
    that it answered, where there were any."""

    status = 502
    title = "The service did not do it"
    retryable = False
    answer = b""

    def __init__(
        self, message: str, hint: str = "", wait: float | None = None, code: int | None = None
    ) -> None:
        super().__init__(message, hint)
        self.wait, self.code = wait, code


class Refused(ProviderError):
    """A clear no: nothing was done, and the same call will be refused again."""


class Gone(Refused):
    """The service has no such job, file, model or deployment."""


class AlreadyThere(Refused):
    """The id that we chose is taken, most likely by our own earlier call."""


class KeyRefused(ProviderError):
    """The key is wrong, revoked or may not do this. Runs wait for another one."""


class OutOfCredit(ProviderError):
    """The account's money or quota has run out. Runs wait until somebody has paid."""


class Busy(ProviderError):
    """Too many calls. Nothing was done; the same call may be sent again."""

    retryable = True


class Unclear(ProviderError):
    """No answer, or one that cannot be read: whether the call took effect is not known. A read may be sent again;
    a paid create never is."""

    retryable = True
