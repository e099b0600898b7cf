"""A bundle is the same byte for byte for the same run, and holds what repeats the run, nothing else."""

import io
import json
import os
import zipfile
from pathlib import Path

from app.runs.bundle import bundle_files, write_bundle, zip_bundle, zip_folder
from app.runs.prepare import prepare_bundle
from app.storage import remove, run_folder
from tests.runs.conftest import Launch, read
from tests.training.bundles import bundle, job, values_of
from workers.training.job import read_job


def zipped(folder: Path) -> bytes:
    file = io.BytesIO()
    zip_bundle(folder, file)
    return file.getvalue()


def test_the_same_run_gives_the_same_bytes(launch: Launch, tmp_path: Path) -> None:
    run = read(launch("baseline/char-trees")[0])
    folder = run_folder(run.id or 0)
    prepare_bundle(run)
    first = zipped(folder)
    prepare_bundle(run)
    assert zipped(folder) == first
    remove(folder)
    prepare_bundle(run)
    for path in folder.rglob("*"):
        os.utime(path, (1, 1))
    moved = tmp_path / "elsewhere"
    folder.rename(moved)
    assert zipped(moved) == first


def test_the_files_of_a_bundle(launch: Launch, home: Path) -> None:
    run = read(launch("baseline/char-trees")[0])
    prepare_bundle(run)
    folder = run_folder(run.id or 0)
    names = {str(path.relative_to(folder)) for path in bundle_files(folder)}
    assert {"config.json", "README.md", "run.sh", "train.jsonl", "validation.jsonl", "test.jsonl"} <= names
    assert {"code/training/__main__.py", "code/baselines/char_trees.py", "code/baselines/_base.py"} <= names
    assert not [name for name in names if "__pycache__" in name or name.endswith(".pyc")]
    train, test = ((folder / f"{part}.jsonl").read_text().splitlines() for part in ("train", "test"))
    assert (len(train), len(test)) == (48, 12)
    assert set(json.loads(test[0])) == {"item", "number", "line", "prompt", "expected"}
    assert json.loads(train[0])["messages"][-1] == {"role": "assistant", "content": "acid"}
    assert str(home) not in (folder / "config.json").read_text()


def test_a_bundle_names_no_folder_of_this_machine(tmp_path: Path) -> None:
    values = values_of("hf/x")
    made = bundle(
        tmp_path / "run", job("hf//srv/models/tiny-llama", values, model_path="/srv/models/tiny-llama")
    )
    assert json.loads((made / "here.json").read_text()) == {"model_path": "/srv/models/tiny-llama"}
    assert [path for path in bundle_files(made) if b"/srv/models" in path.read_bytes()] == []
    config = json.loads((made / "config.json").read_text())
    assert (config["model"], config["model_path"]) == ("hf/tiny-llama", "./tiny-llama")
    assert read_job(made).model_path == "/srv/models/tiny-llama"
    (made / "here.json").unlink()
    assert read_job(made).model_path == "./tiny-llama"
    named = bundle(tmp_path / "named", job("hf/owner/name", values, model_path="owner/name"))
    assert not (named / "here.json").exists()
    assert read_job(named).model_path == "owner/name"


def test_a_bundle_appears_whole(tmp_path: Path) -> None:
    folder = tmp_path / "7"
    folder.mkdir()
    (folder / "left over").write_text("x")
    write_bundle(folder, {"config.json": "{}"}, (), {"train": []})
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "out", "train.jsonl"]
    assert [path.name for path in tmp_path.iterdir()] == ["7"]


def test_what_only_this_machine_needs_stays_here(tmp_path: Path) -> None:
    for name in (
        "lock",
        "process.json",
        "console.txt",
        "checkpoints/1/model",
        "predictions.jsonl",
        "adapter/a",
    ):
        path = tmp_path / "out" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    (tmp_path / "out" / "link").symlink_to("/etc/passwd")
    (tmp_path / "run.sh").write_text("x")
    with zipfile.ZipFile(io.BytesIO(zipped(tmp_path))) as archive:
        assert archive.namelist() == ["out/adapter/a", "out/predictions.jsonl", "run.sh"]
        assert archive.getinfo("run.sh").external_attr >> 16 == 0o755


def test_weights_are_zipped_deterministically(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(bytes(1000))
    made = []
    for moment in (1, 2_000_000_000):
        os.utime(tmp_path / "model.safetensors", (moment, moment))
        file = io.BytesIO()
        zip_folder(tmp_path, file)
        made.append(file.getvalue())
    assert made[0] == made[1]
