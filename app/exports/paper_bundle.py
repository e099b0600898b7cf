"""The paper bundle: one zip with everything behind a comparison, the same byte for byte from the same state."""

import hashlib
import json
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

from sqlmodel import Session

from app.assets import ROOT
from app.comparisons.figure_data import figure_data
from app.comparisons.queries import Chosen
from app.datasets.items import PART_NAMES
from app.datasets.stored import group_name, items_by_number
from app.evaluations.answers import describe
from app.export_formats import WHOLE, Column, ExportFormat, Rows, formats
from app.exports import static_page
from app.exports.answer_rows import run_rows, score_json, score_rows
from app.exports.bibtex import bibtex
from app.exports.bundle_readme import readme
from app.exports.latex import latex_table
from app.exports.machine import without_paths
from app.exports.markdown import markdown_table
from app.exports.methods import methods, packages_of
from app.exports.state import PaperRun, PaperState
from app.figures import csv_bytes, figure_kinds, pdf_bytes, standalone_svg
from app.lab.actor import Actor
from app.storage import dataset_file, run_folder
from app.tables import Run, Split

SCRIPTS = Path(__file__).resolve().parent / "recompute"
# What the bootstrap needs of Tunebook itself: pure files without a database or a server.
COPIED = ("registry.py", "metrics", "statistics")
BATCH = 500


class Bundle:
    """A zip being written: fixed times and modes, and the SHA-256 of every file for its last one.

    Nothing is compressed: builds of zlib differ in what they make of the same bytes.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.archive = zipfile.ZipFile(file, "w", zipfile.ZIP_STORED)
        self.sums: dict[str, str] = {}

    @contextmanager
    def open(self, name: str) -> Iterator[BinaryIO]:
        """A file of the bundle to write into, one at a time."""
        with tempfile.TemporaryFile() as file:
            yield file
            file.seek(0)
            self.sums[name] = hashlib.file_digest(file, "sha256").hexdigest()
            file.seek(0)
            self._store(name, file)

    def _store(self, name: str, file: Any) -> None:
        info = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
        info.create_system, info.external_attr = 3, 0o644 << 16
        with self.archive.open(info, "w", force_zip64=True) as target:
            shutil.copyfileobj(file, target)

    def text(self, name: str, content: str) -> None:
        """A text file."""
        with self.open(name) as file:
            file.write(content.encode())

    def json(self, name: str, content: Any) -> None:
        """A JSON file, keys in the order given."""
        self.text(name, json.dumps(content, ensure_ascii=False, indent=1, allow_nan=False) + "\n")

    def rows(self, name: str, kind: ExportFormat, rows: Rows) -> None:
        """A table."""
        with self.open(name) as file:
            kind.write(rows, file)

    def end(self) -> None:
        """Writes the sums, the last file."""
        self.text("SHA256SUMS", "".join(f"{sha}  {name}\n" for name, sha in sorted(self.sums.items())))


def write_bundle(
    session: Session,
    actor: Actor,
    state: PaperState,
    file: BinaryIO,
    *,
    inputs: bool = True,
    data: bool = False,
) -> None:
    """Writes the zip. `inputs`: with the texts of the test items; `data`: with the whole data file."""
    bundle = Bundle(file)
    with bundle.archive:
        bundle.text("README.md", readme(state, inputs=inputs, data=data))
        bundle.json("scores.json", scores(state))
        bundle.text("methods.txt", methods(state))
        bundle.text("references.bib", bibtex(state))
        bundle.text("tables/scores.tex", latex_table(state))
        bundle.text("tables/scores.md", markdown_table(state))
        bundle.rows("tables/scores.csv", formats()["csv-raw"], score_rows(state))
        for run in state.runs:
            for name, extension in (("csv-raw", "csv"), ("jsonl", "jsonl")):
                rows = run_rows(session, actor, state, run, inputs)
                bundle.rows(f"predictions/{run.key}.{extension}", formats()[name], rows)
            _configuration(bundle, run)
        _data(bundle, session, state, inputs, data)
        _figures(bundle, session, state)
        bundle.text("environment/requirements.txt", environment_lock(state))
        _scripts(bundle)
        static_page.write(bundle.text, session, actor, state, inputs)
        bundle.end()


def scores(state: PaperState) -> dict[str, Any]:
    """scores.json: what recompute.py holds its numbers against."""
    return {
        "format": 1,
        "dataset": {"name": state.dataset.name, "sha256": state.dataset.sha256},
        "splits": [{"name": split.name, "sha256": split.sha256} for split in state.splits],
        "task": state.task,
        "labels": state.labels,
        "primary": state.primary,
        "tested": state.tested,
        "runs": [
            {
                "key": run.key,
                "model": run.model,
                "label": run.label,
                "seed": run.seed,
                "items": run.items,
                "predictions": f"predictions/{run.key}.jsonl",
                "rules": run.rules.to_json(),
                "scores": {name: score_json(score) for name, score in run.scores.items()},
                "unseen": {name: score_json(score) for name, score in run.unseen.items()},
            }
            for run in state.runs
        ],
        "pairs": [vars(pair) for pair in state.pairs],
    }


def _configuration(bundle: Bundle, run: PaperRun) -> None:
    """config.json as the trainer got it, ledger, snapshot, answer rules, and the provider's job."""
    folder = f"configurations/{run.key}"
    try:
        config = json.loads((run_folder(run.run_id) / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        config = None
    if config is not None:
        base = run.snapshot.get("base")
        bundle.json(f"{folder}/config.json", without_paths(config) | ({"base": base} if base else {}))
    if run.judge:
        bundle.json(f"{folder}/judge.json", run.judge)
    bundle.json(f"{folder}/ledger.json", run.ledger)
    bundle.json(f"{folder}/snapshot.json", _run_facts(run))
    bundle.json(
        f"{folder}/answer_rules.json", {"rules": run.rules.to_json(), "in_words": describe(run.rules)}
    )


def _run_facts(run: PaperRun) -> dict[str, Any]:
    return {
        "model": run.model,
        "seed": run.seed,
        "started_at": run.started_at.isoformat() if run.started_at else None,
        "ended_at": run.ended_at.isoformat() if run.ended_at else None,
        "cost_microdollars": run.microdollars,
        "decoding": run.decoding,
        "matched_by": run.matched_by or None,
        "provider_job_id": run.snapshot.get("provider_job_id"),
        **run.snapshot,
    }


def environment_lock(state: PaperState) -> str:
    """requirements.txt of everything that the runs recorded; a package in two versions stands twice, commented."""
    found = sorted({(name, version) for run in state.runs for name, version in packages_of(run).items()})
    names = [name for name, _ in found]
    lines = [
        f"{name}=={version}" if names.count(name) == 1 else f"# {name}=={version}  (runs differ)"
        for name, version in found
    ]
    return "\n".join(["# Packages that the runs recorded.", *lines]) + "\n"


def _data(bundle: Bundle, session: Session, state: PaperState, inputs: bool, data: bool) -> None:
    dataset = state.dataset
    bundle.json(
        "data/hash.json",
        {
            "name": dataset.name,
            "sha256": dataset.sha256,
            "size_bytes": dataset.size_bytes,
            "items": dataset.items,
            "format": dataset.format,
            "mapping": dataset.mapping,
        },
    )
    for split in state.splits:
        name = f"data/split-{split.sha256[:12]}.csv"
        bundle.rows(name, formats()["csv-raw"], _split_rows(session, state, split))
        gold = f"data/gold-{split.sha256[:12]}.csv"
        bundle.rows(gold, formats()["csv-raw"], _gold_rows(session, state, split, inputs))
    if data:
        suffix = dataset.format if dataset.format in ("csv", "parquet") else "jsonl"
        with (
            bundle.open(f"data/dataset.{suffix}") as file,
            dataset_file(dataset.id or 0).open("rb") as source,
        ):
            shutil.copyfileobj(source, file)


def _split_rows(session: Session, state: PaperState, split: Split) -> Rows:
    def lines() -> Iterator[list[Any]]:
        for start in range(0, len(split.parts), BATCH):
            numbers = range(start, min(start + BATCH, len(split.parts)))
            for item in items_by_number(session, state.dataset, split, numbers).values():
                part = PART_NAMES[split.parts[item.number]]
                yield [item.item_id, item.line, part, group_name(split, item.number)]

    return Rows((Column("item"), Column("line", WHOLE), Column("part"), Column("group")), lines())


def _gold_rows(session: Session, state: PaperState, split: Split, inputs: bool) -> Rows:
    test = [number for number, part in enumerate(split.parts) if PART_NAMES[part] == "test"]

    def lines() -> Iterator[list[Any]]:
        for start in range(0, len(test), BATCH):
            found = items_by_number(session, state.dataset, split, test[start : start + BATCH])
            for item in found.values():
                yield [item.item_id, item.line, item.group, item.input if inputs else None, item.answer]

    names = (Column("item"), Column("line", WHOLE), Column("group"), Column("input"), Column("expected"))
    return Rows(names, lines())


def _figures(bundle: Bundle, session: Session, state: PaperState) -> None:
    """Every figure that these runs have data for, as SVG, PDF and the CSV behind it."""
    rows = [run.row for run in state.runs]
    splits = {row.run_id: session.get_one(Split, session.get_one(Run, row.run_id).split_id) for row in rows}
    chosen = Chosen(rows, frozenset(), state.dataset, state.splits[0], splits)
    data = figure_data(session, chosen, "all")
    numbered = replace(data, runs=tuple(replace(run, run_id=n) for n, run in enumerate(data.runs, 1)))
    for kind in figure_kinds():
        figure = kind.draw(numbered)
        if figure is not None:
            for ending, write in (("svg", standalone_svg), ("pdf", pdf_bytes), ("csv", csv_bytes)):
                with bundle.open(f"figures/{kind.name}.{ending}") as file:
                    file.write(write(figure))


def _scripts(bundle: Bundle) -> None:
    """recompute.py and what it needs beside it."""
    bundle.text("recompute.py", (SCRIPTS / "start.py").read_text(encoding="utf-8"))
    for path in sorted(SCRIPTS.iterdir()):
        if path.is_file() and path.name not in ("__init__.py", "start.py"):
            bundle.text(f"recompute/{path.name}", path.read_text(encoding="utf-8"))
    bundle.text("recompute/app/__init__.py", (ROOT / "app" / "__init__.py").read_text(encoding="utf-8"))
    for name in COPIED:
        path = ROOT / "app" / name
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            bundle.text(f"recompute/{file.relative_to(ROOT)}", file.read_text(encoding="utf-8"))
