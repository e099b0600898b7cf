"""Modal's SDK: a client with a site's token, what its errors mean, files of a volume. Used by the files beside."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from app.compute._base import Site
from app.errors import AlreadyThere, Busy, Gone, KeyRefused, OutOfCredit, Refused, Unavailable, Unclear
from app.log import hidden

APP = "tunebook"
FILE = 1  # modal.types.FileEntryType.FILE


@contextmanager
def opened(site: Site) -> Iterator[tuple[Any, Any]]:
    """(the SDK, a client with the site's token); the SDK's errors become ours."""
    try:
        import modal
        from grpclib.exceptions import GRPCError
    except ImportError as error:
        raise Unavailable(
            "Modal's package is not installed with Tunebook.",
            "Install it: pip install modal, then try again.",
        ) from error
    id, _, secret = site.secret.strip().replace(":", " ").partition(" ")
    if not id.startswith("ak-") or not secret.strip().startswith("as-"):
        raise KeyRefused(
            "Modal needs a token.", "Enter its two halves, ak-... and as-..., with a blank between."
        )
    client = None
    try:
        client = modal.Client.from_credentials(id, secret.strip())
        yield modal, client
    except (modal.exception.Error, GRPCError, OSError, TimeoutError) as error:
        raise ours(modal, error) from error
    finally:
        if client is not None:
            client.close()


def ours(modal: Any, error: BaseException) -> Exception:
    """What an error of the SDK means."""
    kinds = modal.exception
    line = hidden(" ".join(str(error).split()))[:400] or type(error).__name__
    said = f"Modal: {line}"
    if isinstance(error, kinds.AuthError | kinds.PermissionDeniedError):
        return KeyRefused(said, "Enter a working token on the page of this place.")
    if isinstance(error, kinds.ResourceExhaustedError):
        money = any(word in line.lower() for word in ("billing", "credit", "spend", "budget", "payment"))
        return OutOfCredit(said, "Raise the limit at Modal.") if money else Busy(said, wait=60.0)
    if isinstance(error, kinds.AlreadyExistsError):
        return AlreadyThere(said, "It is found by its name.")
    if isinstance(error, kinds.NotFoundError):
        return Gone(said)
    if isinstance(error, kinds.ConflictError):
        # It was made, and then something was not as it should be.
        return Unclear(said, "Tunebook asks again what has become of it.")
    if isinstance(error, kinds.InvalidError | kinds.ImageBuildError | kinds.UnimplementedError):
        return Refused(said)
    return Unclear(said, "Tunebook asks again what has become of it.")


@contextmanager
def repeated(modal: Any) -> Iterator[None]:
    """What fails inside has started nothing: unclear becomes Busy."""
    try:
        yield
    except (modal.exception.Error, OSError) as error:
        raise ours(modal, error) from error


def volume_name(launch_key: str) -> str:
    """The volume of a run."""
    return f"{APP}-{launch_key}"


def ended(modal: Any, volume: Any) -> bool:
    """Whether the run's exit code lies in its volume."""
    return any(entry.path.lstrip("/") == "out/exit_code" for entry in files(modal, volume))


def files(modal: Any, volume: Any) -> Sequence[Any]:
    """Entries below out/; () where it is not there yet."""
    try:
        return [entry for entry in volume.listdir("/out", recursive=True) if int(entry.type) == FILE]
    except modal.exception.NotFoundError:
        return ()
