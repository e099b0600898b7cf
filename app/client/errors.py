"""What can go wrong between a notebook and Tunebook, each with what, where and how to mend it.

TunebookError
├── NoToken             no token was given
├── Unreachable         no Tunebook answers at the address; nothing was sent, or only read
├── Unconfirmed         the answer to a change was lost: it may have been done, or not
├── WaitedTooLong       what was waited for goes on at the server
├── MissingLibrary      pandas, polars or another optional library is not installed here
├── UnusableFile        a file of this machine cannot be read or written
├── DatasetRefused      the uploaded data cannot be used; `dataset` holds the report
├── TooDear             the plan costs more than was allowed, or nobody knows what; nothing was launched
├── ExportFailed        the server could not make the file
└── Answered            the server answered no; `status` is the HTTP status
    ├── SignInNeeded    401   ├── Forbidden  403   ├── NotFound     404
    ├── Conflict        409   ├── TooLarge   413   ├── Invalid      422 (`fields` says where)
    ├── TooMany         429   └── ServerFault 5xx
"""

from typing import Any


class TunebookError(Exception):
    """An expected failure: `message` says what and where, `hint` how to mend it.

    >>> str(TunebookError("There is no run 7 here.", "Look at lab.runs()."))
    'There is no run 7 here. Look at lab.runs().'
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.message, self.hint = message, hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class NoToken(TunebookError):
    """No token was given, neither as argument nor as TUNEBOOK_TOKEN."""


class Unreachable(TunebookError):
    """No Tunebook answers at the address. What was asked was not done."""


class Unconfirmed(TunebookError):
    """The answer to a change was lost. `launch_key` (of a launch) makes the same launch again without making two."""

    def __init__(self, message: str, hint: str = "", launch_key: str = "") -> None:
        super().__init__(message, hint)
        self.launch_key = launch_key


class WaitedTooLong(TunebookError):
    """The time to wait was over; what was waited for goes on."""


class MissingLibrary(TunebookError, ImportError):
    """An optional library is not installed in this Python."""


class UnusableFile(TunebookError):
    """A file of this machine cannot be read or written."""


class DatasetRefused(TunebookError):
    """The data cannot be used. `dataset.problems` says line by line what is wrong and how to mend it."""

    def __init__(self, message: str, hint: str, dataset: Any) -> None:
        super().__init__(message, hint)
        self.dataset = dataset


class TooDear(TunebookError):
    """The estimate is above what was allowed, or unknown. `plan` says what would cost what; nothing was launched."""

    def __init__(self, message: str, hint: str, plan: Any) -> None:
        super().__init__(message, hint)
        self.plan = plan


class ExportFailed(TunebookError):
    """The server could not make the file."""


class Answered(TunebookError):
    """The server answered no. `status` is the HTTP status, `fields` what is wrong by the field's name."""

    def __init__(
        self, message: str, hint: str = "", status: int = 0, fields: dict[str, str] | None = None
    ) -> None:
        super().__init__(message, hint)
        self.status, self.fields = status, fields or {}


class SignInNeeded(Answered):
    """401: the token is unknown or over."""


class Forbidden(Answered):
    """403: this token may not do it."""


class NotFound(Answered):
    """404: there is no such thing in the token's project."""


class Conflict(Answered):
    """409: the thing has moved on, or its state does not allow it."""


class TooLarge(Answered):
    """413: more bytes than the server takes."""


class Invalid(Answered):
    """422: what was sent cannot be used."""


class TooMany(Answered):
    """429: too often, or a budget is used up."""


class ServerFault(Answered):
    """5xx: something is wrong at the server, not with what was sent."""


BY_STATUS: dict[int, type[Answered]] = {
    401: SignInNeeded,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    413: TooLarge,
    422: Invalid,
    429: TooMany,
}


def of_status(status: int) -> type[Answered]:
    """The class for an HTTP status."""
    return BY_STATUS.get(status, ServerFault if status >= 500 else Answered)
