"""What the server says when it does not answer: one shape, one table of statuses. Raised everywhere in this package."""

from typing import Any

from workers.training.failures import Failure, explain, out_of_memory

STATUS = {
    "bad_request": 400,
    "not_found": 404,
    "too_long": 413,
    "busy": 503,
    "out_of_memory": 503,
    "broken": 500,
}
# What libraries raise over a model, a text or a schema that they cannot use, or when memory does not suffice.
ERRORS = (
    Failure,
    RuntimeError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    OSError,
    MemoryError,
    ImportError,
)


class Refusal(Exception):
    """An expected end of a request: its kind (a key of STATUS), what happened, how to mend it, whether asking again may
    help."""

    def __init__(self, kind: str, message: str, hint: str, retryable: bool = False) -> None:
        super().__init__(message)
        self.kind, self.message, self.hint, self.retryable = kind, message, hint, retryable

    @property
    def status(self) -> int:
        """The HTTP status."""
        return STATUS[self.kind]

    def told(self) -> dict[str, Any]:
        """The body: {"error": {"kind", "message", "hint", "retryable"}}."""
        return {
            "error": {
                "kind": self.kind,
                "message": self.message,
                "hint": self.hint,
                "retryable": self.retryable,
            }
        }


def bad(message: str, hint: str) -> Refusal:
    """A request that cannot be understood."""
    return Refusal("bad_request", message, hint)


def busy(message: str, hint: str = "Ask again in a moment.") -> Refusal:
    """Something that passes by itself."""
    return Refusal("busy", message, hint, retryable=True)


def refusal_of(error: BaseException) -> Refusal:
    """What an error of loading or asking a model means for who asked."""
    if isinstance(error, Refusal):
        return error
    if out_of_memory(error):
        return Refusal(
            "out_of_memory",
            "The device's memory does not suffice for this model or these texts now.",
            "Ask again with a shorter text or when fewer ask; TUNEBOOK_INFERENCE_BYTES bounds what models may hold.",
            retryable=True,
        )
    message, hint = explain(error)
    if isinstance(error, Failure):
        return Refusal("broken", message, hint)
    return Refusal("broken", message.replace("Training stopped", "The model stopped"), hint)
