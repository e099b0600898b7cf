"""A data set from a Hugging Face repository: asked for by the web, fetched by the worker before its check.

The revision is resolved to a commit, which the dataset's origin names. Files that are the parts of one data set
(train, validation, test) become one file with a `split` key.
"""

import hashlib
import json
import re
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path, PurePosixPath
from typing import Any

from sqlalchemy import update
from sqlmodel import Session, col

from app import hub
from app.config import settings
from app.errors import Invalid
from app.format import size as readable
from app.lab.actor import Actor, require_member
from app.queue import CHECK_DATASET, enqueue
from app.storage import dataset_file, incoming_file, keep, remove
from app.stored_files import note
from app.tables import Dataset

Save = Callable[[], AbstractContextManager[Session]]
REPO = re.compile(r"[A-Za-z0-9][\w.\-]*/[\w.\-]{1,96}")
ENDINGS = (".jsonl", ".parquet")
NAMED = 20
# A part by the words in a file's path: Hub data sets name their files so.
PARTS = (("TEST", ("test",)), ("VALIDATION", ("validation", "valid", "val", "dev")), ("TRAIN", ("train",)))


def add_from_hub(session: Session, actor: Actor, repo: str, revision: str = "", file: str = "") -> Dataset:
    """Queues the data set; raises Invalid for names that cannot be right. The rest is found by the worker."""
    require_member(actor, "add datasets")
    repo, revision, file = repo.strip(), revision.strip() or "main", file.strip()
    if not REPO.fullmatch(repo):
        raise Invalid(
            f"{repo[:100]!r} is no name of a repository." if repo else "No repository is named.",
            "Write owner/name, as its page on huggingface.co has it.",
            {"repo": "owner/name"},
        )
    if len(revision) > 200 or len(file) > 500:
        raise Invalid("The revision or the file name is too long.", "Copy it from the repository's page.")
    dataset = Dataset(
        project_id=actor.project_id,
        maker_id=actor.member_id,
        name=repo.partition("/")[2][:200],
        source={"repo": repo, "revision": revision, "file": file},
    )
    session.add(dataset)
    session.flush()
    enqueue(session, CHECK_DATASET, dataset.id or 0)
    return dataset


def fetch_dataset(dataset: Dataset, save: Save) -> None:
    """Fetches the file of a dataset that is still at the Hub, and notes where it came from. Called before the
    check, which is the same as for an upload. Raises TunebookError; safe to run again."""
    dataset_id = dataset.id or 0
    if not dataset.source or dataset.sha256:
        return
    values = _fetch(dataset)
    with save() as session:
        session.execute(update(Dataset).where(col(Dataset.id) == dataset_id).values(**values))
        note(session, dataset_file(dataset_id))
    for name, value in values.items():
        setattr(dataset, name, value)


def _fetch(dataset: Dataset) -> dict[str, Any]:
    repo, revision = dataset.source["repo"], dataset.source["revision"]
    seen = hub.look(repo, revision)
    chosen = choose_files(repo, list(seen.files), dataset.source["file"])
    total = sum(seen.files[name] or 0 for name in chosen.values())
    if total > settings().max_upload_bytes:
        raise Invalid(
            f"The files of {repo} have {readable(total)}, more than {readable(settings().max_upload_bytes)}.",
            "Choose one file, or raise TUNEBOOK_MAX_UPLOAD_BYTES.",
        )
    parts = {part: hub.fetch(repo, seen.commit, name) for part, name in chosen.items()}
    ending = PurePosixPath(next(iter(chosen.values()))).suffix
    target = incoming_file(secrets.token_hex(16))
    try:
        join(parts, ending, target)
        with target.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        size = target.stat().st_size
        keep(target, dataset_file(dataset.id or 0))
    finally:
        remove(target)
    names = ", ".join(chosen.values())
    return {
        "file_name": f"{repo.partition('/')[2]}{ending}"[:300],
        "sha256": digest,
        "size_bytes": size,
        "origin": f"From the Hugging Face data set {repo} at commit {seen.commit}: {names}."[:2000],
    }


def choose_files(repo: str, files: Sequence[str], wanted: str = "") -> dict[str, str]:
    """{part: file}: the wanted file alone as {"": file}, the only usable one, or the parts of one data set.

    Pure. Raises Invalid that names the files found.
    """
    usable = sorted(name for name in files if name.endswith(ENDINGS))
    if wanted:
        if wanted not in files:
            raise Invalid(f"{repo} has no file {wanted!r}.", _list("Its files", usable or sorted(files)))
        if wanted not in usable:
            raise Invalid(f"{wanted!r} cannot be read.", "Only .jsonl and .parquet files can be taken.")
        return {"": wanted}
    if not usable:
        raise Invalid(f"{repo} has no .jsonl or .parquet file.", _list("It holds", sorted(files)))
    if len(usable) == 1:
        return {"": usable[0]}
    parts: dict[str, str] = {}
    for name in usable:
        part = part_of(name)
        if part is None or part in parts:
            raise Invalid(
                f"{repo} has several files, and which to take is not clear.", _list("Name one", usable)
            )
        parts[part] = name
    if len({PurePosixPath(name).suffix for name in parts.values()}) > 1:
        raise Invalid(f"{repo} has files of several kinds.", _list("Name one", usable))
    return parts


def _list(begin: str, names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{begin}: {', '.join(names[:NAMED]) or 'nothing'}{more}."


def part_of(name: str) -> str | None:
    """The part that a file's path names: "data/test-00000-of-00001.parquet" is TEST."""
    words = set(re.split(r"[^a-z]+", PurePosixPath(name).name.lower()))
    found = [part for part, names in PARTS if words & set(names)]
    return found[0] if len(found) == 1 else None


def join(parts: Mapping[str, Path], ending: str, target: Path) -> None:
    """One file of all parts, each row with its part as `split`; a single file is copied as it is."""
    if list(parts) == [""]:
        shutil.copyfile(parts[""], target)
    elif ending == ".parquet":
        _join_parquet(parts, target)
    else:
        with target.open("w", encoding="utf-8") as file:
            file.writelines(_lines(parts))


def _lines(parts: Mapping[str, Path]) -> Iterator[str]:
    for part, path in parts.items():
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                if not line.strip():
                    continue
                try:
                    row = json.loads(line)
                except ValueError:
                    row = None
                if not isinstance(row, dict):
                    raise Invalid(
                        f"{path.name}, line {number} is no JSON object.",
                        "Name one file to see all its flaws.",
                    )
                yield json.dumps({**row, "split": part}, ensure_ascii=False) + "\n"


def _join_parquet(parts: Mapping[str, Path], target: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        tables = []
        for part, path in parts.items():
            table = pq.read_table(path)
            table = table.drop_columns(["split"]) if "split" in table.column_names else table
            tables.append(table.append_column("split", pa.array([part] * len(table))))
        pq.write_table(pa.concat_tables(tables, promote_options="default"), target)
    except (pa.ArrowException, OSError) as error:
        raise Invalid(f"The Parquet files cannot be joined: {error}.", "Name one of them.") from error
