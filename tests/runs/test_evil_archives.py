"""Results and weights come as archives from elsewhere: nothing in their names, links or sizes leaves its folder."""

import io
import json
import stat
import tarfile
import zipfile
from pathlib import Path

import httpx
import pytest
from sqlmodel import Session

from app.errors import Invalid, Refused, TunebookError
from app.lab.actor import Actor
from app.providers import _weights
from app.runs.by_hand import take_results
from app.service_http import Access, Api
from app.storage import run_folder
from app.tables import RunState
from tests.runs.conftest import Launch, drive, read

pytestmark = [pytest.mark.laptop, pytest.mark.slow]
NAMES = (
    "../escaped.json", "out/../../escaped.json", "out/../escaped.json", "/tmp/escaped-81.json", "//escaped.json",
    "out//../escaped.json", "out\\..\\..\\escaped.json", "..\\escaped.json", "C:\\escaped.json", "C:/escaped.json",
    "out/./../../escaped.json", "~/escaped.json", "out/$(touch escaped).json", "out/`touch escaped`.json",
    "out/a\nb.json", "out/\x1b[2J.json", "out/-rf.json", "out/" + "a" * 200 + ".json", "out/con.json",
    "out/run.sh", "out/run.py", "out/model.pkl", "out/pytorch_model.bin", "out/.ssh/authorized_keys",
    "out/../process.json", "out/checkpoints/../../../escaped.json",
)  # fmt: skip


def snapshot(folder: Path) -> set[str]:
    return {str(path) for path in folder.rglob("*")}


def packed(own: str) -> bytes:
    """A zip of this run's results with every evil name, a link that leads out, and a name of its own twice."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("out/exit_code", "0")
        archive.writestr("out/process.json", own)
        for name in NAMES:
            archive.writestr(name, "evil")
        link = zipfile.ZipInfo("out/link.json")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
        archive.writestr("out/link.json/inside.json", "{}")
    return made.getvalue()


def test_a_zip_of_results_stays_in_its_folder(
    launch: Launch, session: Session, actor: Actor, home: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    (run_id,) = launch("baseline/majority", compute="by hand")
    drive(run_id, until=(RunState.TRAINING,))
    own = json.dumps({"launch_key": read(run_id).launch_key})
    outside = tmp_path_factory.mktemp("elsewhere")
    archive = outside / "out.zip"
    archive.write_bytes(packed(own))
    before = {*snapshot(home), *snapshot(outside)}
    take_results(session, actor, run_id, archive)
    session.commit()
    out = run_folder(run_id) / "out"
    new = {path for path in snapshot(home) | snapshot(outside) if path not in before}
    assert all(Path(path) == out or out in Path(path).parents for path in new), new
    kept = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    assert {"exit_code", "process.json"} <= kept
    assert not any(path.is_symlink() for path in out.rglob("*"))
    assert not {Path(name).suffix for name in kept} & {".sh", ".py", ".pkl", ".bin"}
    assert not Path("/tmp/escaped-81.json").exists()


def test_a_zip_that_lies_about_its_size_is_refused(
    launch: Launch, session: Session, actor: Actor, tmp_path_factory: pytest.TempPathFactory
) -> None:
    (run_id,) = launch("baseline/majority", compute="by hand")
    drive(run_id, until=(RunState.TRAINING,))
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("out/exit_code", "0")
        archive.writestr("out/process.json", "x" * 10_000_000)
    # Both places say 100 bytes where 10 MB follow.
    lying = made.getvalue().replace((10_000_000).to_bytes(4, "little"), (100).to_bytes(4, "little"))
    path = tmp_path_factory.mktemp("elsewhere") / "out.zip"
    path.write_bytes(lying)
    with pytest.raises(Invalid):
        take_results(session, actor, run_id, path)
    assert not (run_folder(run_id) / "out.part").exists()
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(3000):
            archive.writestr(f"out/{number}.json", "")
    with pytest.raises(TunebookError, match="more than"):
        take_results(session, actor, run_id, path)


def test_weights_are_written_flat_whatever_they_are_called(tmp_path: Path) -> None:
    folder = tmp_path / "weights"
    folder.mkdir()
    names = [name.removesuffix(".json") + ".safetensors" for name in NAMES] + ["a/adapter_config.json"]
    archive = tmp_path / "weights.tar"
    with tarfile.open(archive, "w") as made:
        for name in names:
            entry = tarfile.TarInfo(name)
            entry.size = 4
            made.addfile(entry, io.BytesIO(b"evil"))
        for kind, target in (
            (tarfile.SYMTYPE, "/etc/passwd"),
            (tarfile.LNKTYPE, "../../x"),
            (tarfile.FIFOTYPE, ""),
        ):
            entry = tarfile.TarInfo(f"b/special-{kind.decode()}.safetensors")
            entry.type, entry.linkname = kind, target
            made.addfile(entry)
    with httpx.Client() as client:
        api = Api(Access("A service", "https://api.example.org"), client)
        before = snapshot(tmp_path)
        try:
            written = _weights.unpack(api, archive, folder)
        except Refused:
            written = []
        assert all(path.parent == folder for path in written)
    new = [Path(path) for path in snapshot(tmp_path) - before]
    assert all(path.parent == folder and path.is_file() and not path.is_symlink() for path in new), new
