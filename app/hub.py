"""The Hugging Face Hub through its own library: push files, look at a data set, fetch a file.

Used by app/exports/hub_push.py and app/datasets/from_hub.py, in workers or after a response, never inside a
database transaction. The address is TUNEBOOK_HF_ENDPOINT, else the library's own (HF_ENDPOINT).
"""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.config import settings
from app.errors import Conflict, Forbidden, Invalid, NotFound, TunebookError, Unavailable

PIECE = 1024 * 1024


@dataclass(frozen=True)
class Pushed:
    """Where a push went; `changed` counts the files that were new or different."""

    url: str
    commit: str
    changed: int


@dataclass(frozen=True)
class Snapshot:
    """A data set repository at one commit: {file: size in bytes or None}."""

    commit: str
    files: dict[str, int | None]


def push(
    repo: str, kind: str, files: Mapping[str, Path], message: str, *, private: bool, token: str
) -> Pushed:
    """Makes the repository if it is not there and commits what differs, in one commit.

    `kind` is "model" or "dataset". The content is compared first, so that the same push again sends nothing;
    after an answer that was lost it is compared again instead of sent again.
    """
    api = _api(token)
    with _explained(repo, "push"):
        url = str(api.create_repo(repo, private=private, repo_type=kind, exist_ok=True))
        missing = _different(api, repo, kind, files)
        if missing:
            _commit(api, repo, kind, missing, files, message)
        commit = str(api.repo_info(repo, repo_type=kind).sha or "")
    return Pushed(url, commit, len(missing))


def _commit(
    api: Any, repo: str, kind: str, missing: Mapping[str, Path], files: Mapping[str, Path], message: str
) -> None:
    import httpx2
    from huggingface_hub import CommitOperationAdd
    from huggingface_hub.errors import HfHubHTTPError

    operations = [CommitOperationAdd(name, str(path)) for name, path in missing.items()]
    try:
        api.create_commit(repo, operations, commit_message=message, repo_type=kind)
    except (HfHubHTTPError, httpx2.TransportError, RuntimeError) as error:
        response = getattr(error, "response", None)
        if response is not None and response.status_code < 500:
            raise
        # The answer was lost or unclear: the commit may stand.
        if _different(api, repo, kind, files):
            raise


def _different(api: Any, repo: str, kind: str, files: Mapping[str, Path]) -> dict[str, Path]:
    """The files that the repository lacks or holds with other content."""
    there = {entry.path: entry for entry in api.get_paths_info(repo, list(files), repo_type=kind)}
    return {name: path for name, path in files.items() if not _same(there.get(name), path)}


def _same(entry: Any, path: Path) -> bool:
    if entry is None or getattr(entry, "size", None) != path.stat().st_size:
        return False
    if entry.lfs:
        return bool(entry.lfs.sha256 == _digest(path, hashlib.sha256()))
    # Git's name of a file: SHA-1 over a header and the content.
    begun = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    return bool(entry.blob_id == _digest(path, begun))


def _digest(path: Path, digest: Any) -> str:
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            digest.update(piece)
    return str(digest.hexdigest())


def look(repo: str, revision: str) -> Snapshot:
    """The data set's files at `revision` (a branch, tag or commit), from the local cache when offline."""
    import httpx2
    from huggingface_hub.errors import OfflineModeIsEnabled

    with _explained(repo, "read", revision):
        try:
            info = _api(settings().hf_token).dataset_info(repo, revision=revision, files_metadata=True)
        except (OfflineModeIsEnabled, httpx2.TransportError):
            cached = _cached(repo, revision)
            if cached is None:
                raise
            return cached
    return Snapshot(str(info.sha), {file.rfilename: file.size for file in info.siblings or []})


def _cached(repo: str, revision: str) -> Snapshot | None:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        folder = Path(snapshot_download(repo, repo_type="dataset", revision=revision, local_files_only=True))
    except LocalEntryNotFoundError:
        return None
    files: dict[str, int | None] = {
        str(path.relative_to(folder)): path.stat().st_size for path in folder.rglob("*") if path.is_file()
    }
    return Snapshot(folder.name, files)


def fetch(repo: str, commit: str, file: str) -> Path:
    """One file of a data set at a commit, in the library's cache; from there without asking when it is known."""
    from huggingface_hub import hf_hub_download

    with _explained(repo, "read", commit):
        return Path(
            hf_hub_download(
                repo,
                file,
                repo_type="dataset",
                revision=commit,
                endpoint=settings().hf_endpoint or None,
                token=settings().hf_token or None,
            )
        )


def _api(token: str) -> Any:
    from huggingface_hub import HfApi
    from huggingface_hub.utils import disable_progress_bars

    disable_progress_bars()
    return HfApi(endpoint=settings().hf_endpoint or None, token=token or None)


@contextmanager
def _explained(repo: str, doing: str, revision: str = "main") -> Iterator[None]:
    """Turns the library's errors into ours; none of them carries the token."""
    import httpx2
    from huggingface_hub import errors

    try:
        yield
    except errors.HFValidationError as error:
        raise Invalid(
            f"{repo!r} is no name of a repository.", "Write owner/name.", {"repo": "owner/name"}
        ) from error
    except errors.GatedRepoError as error:
        raise Forbidden(
            f"{repo} is gated: its owners give access on request.",
            "Ask for access on its page, then set TUNEBOOK_HF_TOKEN to a token of that account.",
        ) from error
    except errors.RevisionNotFoundError as error:
        raise NotFound(
            f"{repo} has no revision {revision!r}.", "Give a branch, a tag or a commit."
        ) from error
    except errors.HfHubHTTPError as error:
        raise _of_status(error, repo, doing) from error
    except errors.EntryNotFoundError as error:
        raise NotFound(f"A file of {repo} is not there: {_line(error)}.", "Choose another file.") from error
    except (httpx2.TransportError, errors.OfflineModeIsEnabled, RuntimeError) as error:
        again = (
            "what arrived is not sent twice" if doing == "push" else "or fetch the file by hand and upload it"
        )
        raise Unavailable(
            f"The Hugging Face Hub could not be reached for {repo}: {_line(error)}.",
            f"Check the network, then try again; {again}.",
        ) from error


def _of_status(error: Any, repo: str, doing: str) -> TunebookError:
    status = error.response.status_code
    if status == 401:
        what = f"The Hugging Face Hub does not know the token, or {repo} is not there for it."
        return Forbidden(what, "Check the name, and make a token that may " + doing + " it.")
    if status == 403:
        return Forbidden(
            f"The token may not {doing} {repo}.", "Give it that right, or take another owner name."
        )
    if status == 404:
        return NotFound(
            f"There is no repository {repo} on the Hugging Face Hub.", "Check its name and its kind."
        )
    if status in (409, 412):
        return Conflict(f"{repo} was changed by somebody else meanwhile.", "Look at it, then push again.")
    again = " What arrived is not sent twice." if doing == "push" else ""
    return Unavailable(f"The Hugging Face Hub answered {status} for {repo}.", f"Try again later.{again}")


def _line(error: BaseException) -> str:
    cause = error.__cause__ if isinstance(error, RuntimeError) and error.__cause__ else error
    return (str(cause).strip().splitlines() or [type(cause).__name__])[0][:300].rstrip(".")
