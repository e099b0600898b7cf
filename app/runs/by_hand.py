"""Results of a run that a person did elsewhere: the zip of the bundle's out folder, checked and put in its place.

Called by the run page and the API. Nothing of the zip is ever run; files of unknown kinds stay out.
"""

import json
import shutil
import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from sqlmodel import Session

from app.config import settings
from app.errors import Conflict, Invalid, TooLarge
from app.format import size as readable
from app.lab.actor import Actor, find, require_member
from app.queue import ADVANCE_RUN, enqueue
from app.settings.machines import BY_HAND
from app.storage import remove, run_folder
from app.tables import Machine, Run, RunState

WAITS = (RunState.TRAINING, RunState.PREDICTING)
NEEDED = ("exit_code", "process.json")
SUFFIXES = (
    ".json",
    ".jsonl",
    ".txt",
    ".safetensors",
    ".jinja",
    ".model",
    ".yaml",
    ".csv",
    ".npz",
    ".h5",
    ".gguf",
)
PLAIN = ("exit_code", "Modelfile", "LICENSE")
SKIPPED = ("checkpoints", "work", "lock")
MOST_FILES, MOST_TIMES = 2000, 4
MEND = "Zip the folder `out` of the bundle after `sh run.sh --here` has ended, and upload that."


def take_results(session: Session, actor: Actor, run_id: int, archive: Path) -> Run:
    """Puts the results into the run's folder; the run then goes on to its scores.

    Raises Conflict for a run that waits for no upload, Invalid or TooLarge for a zip that is not this run's results.
    """
    require_member(actor, "bring results back")
    run: Run = find(session, actor, Run, run_id)
    machine = session.get(Machine, run.machine_id) if run.machine_id else None
    if machine is None or machine.kind != BY_HAND or run.state not in WAITS:
        raise Conflict(
            f"Run {run_id} waits for no upload.",
            "Only a run whose compute is “by hand” takes one, while it waits.",
        )
    folder = run_folder(run_id)
    fresh = folder / "out.part"
    remove(fresh)
    try:
        _extract(archive, fresh)
        _check(fresh, run)
    except BaseException:
        remove(fresh)
        raise
    remove(folder / "out")
    fresh.rename(folder / "out")
    run.due_at = None
    session.add(run)
    session.flush()
    enqueue(session, ADVANCE_RUN, run_id)
    return run


def _extract(archive: Path, fresh: Path) -> None:
    try:
        with zipfile.ZipFile(archive) as packed:
            for info, name in _wanted(packed):
                target = fresh / name
                target.parent.mkdir(parents=True, exist_ok=True)
                with packed.open(info) as source, target.open("wb") as file:
                    shutil.copyfileobj(source, file)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, OSError) as error:
        raise Invalid(f"The file cannot be read as a zip: {error}.", MEND, {"file": "not a zip"}) from error


def _wanted(packed: zipfile.ZipFile) -> Iterator[tuple[zipfile.ZipInfo, PurePosixPath]]:
    """The entries that are results, with their names below out/; the folder `out` may stand anywhere in the zip."""
    infos = [info for info in packed.infolist() if not info.is_dir()]
    most = settings().max_upload_bytes * MOST_TIMES
    if len(infos) > MOST_FILES or sum(info.file_size for info in infos) > most:
        raise TooLarge(f"The zip holds more than {MOST_FILES:,} files or {readable(most)}.", MEND)
    homes = [
        PurePosixPath(info.filename).parent
        for info in infos
        if PurePosixPath(info.filename).name == "exit_code"
    ]
    if not homes:
        raise Invalid(
            "The zip holds no exit_code: the run has not ended, or this is another folder.",
            MEND,
            {"file": "no exit_code"},
        )
    home = min(homes, key=lambda path: len(path.parts))
    for info in infos:
        path = PurePosixPath(info.filename)
        if not path.is_relative_to(home) or stat.S_ISLNK(info.external_attr >> 16):
            continue
        name = path.relative_to(home)
        safe = not path.is_absolute() and ".." not in path.parts and "\\" not in info.filename
        known = name.name in PLAIN or name.suffix in SUFFIXES
        if safe and known and name.parts[0] not in SKIPPED:
            yield info, name


def _check(fresh: Path, run: Run) -> None:
    for name in NEEDED:
        if not (fresh / name).is_file():
            raise Invalid(f"The zip holds no {name}.", MEND, {"file": f"no {name}"})
    try:
        key = json.loads((fresh / "process.json").read_text(encoding="utf-8"))["launch_key"]
    except (ValueError, KeyError, TypeError) as error:
        raise Invalid("process.json of the zip cannot be read.", MEND, {"file": "process.json"}) from error
    if key != run.launch_key:
        raise Invalid(
            f"These are the results of another run: their launch key is {str(key)[:40]}, this run's is {run.launch_key}.",
            "Upload them on the page of the run whose bundle you downloaded.",
            {"file": "another run's"},
        )
