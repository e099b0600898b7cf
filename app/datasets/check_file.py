"""Checks an uploaded file from its first byte to `ready` or `refused`. Called by workers/datasets.py.

Everything is written in short transactions that confirm the lease, so a check can be killed at any moment and
simply begins again. Memory stays flat: the index goes to the database in batches and duplicates are found there.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing
from dataclasses import asdict
from typing import Any

from sqlalchemy import update
from sqlmodel import Session, col, select

from app.datasets.check import Report
from app.datasets.columns import UNMAPPED, scalar_keys
from app.datasets.convert import convert_table
from app.datasets.facts import dataset_facts, long_answer
from app.datasets.flaws import Flaw
from app.datasets.formats import TABLES, detect_format
from app.datasets.index import Columns, index_batch
from app.datasets.index_table import (
    clear_index,
    found_lines,
    insert_items,
    lines_of,
    store_twins,
)
from app.datasets.items import TEST, UNUSED, VALIDATION
from app.datasets.lines import LineReader
from app.datasets.make_split import Known, SplitRequest, draw_split, rejected_items, twins
from app.datasets.parse import read_jsonl
from app.datasets.rows import FORMATS
from app.datasets.stored import open_rows, rows_file
from app.datasets.survey import Survey
from app.datasets.task import detect_task, order_labels
from app.datasets.twins import KeySpool
from app.db import session_scope
from app.storage import dataset_file, dataset_path, dataset_rows, remove
from app.stored_files import forget, note
from app.tables import Dataset, DatasetState, Item, Split

Save = Callable[[], AbstractContextManager[Session]]
STORED_AT_ONCE = 4  # batches, each of about a quarter of a MiB
KEYS_LOOKED_AT, KEYS_NAMED = 100, 100
READ_SHARE = 0.85  # of the progress bar, for reading the file


def check_dataset(dataset: Dataset, save: Save) -> None:
    """Reads the dataset's file and ends with the dataset `ready`, or `refused` with its problems."""
    dataset_id = dataset.id or 0
    with save() as session:
        clear_index(session, dataset_id)
        _update(session, dataset_id, state=DatasetState.CHECKING, progress=0.0)
    remove(dataset_rows(dataset_id))
    report, path = Report(), dataset_file(dataset_id)
    try:
        dataset.format = dataset.row_format = detect_format(path, dataset.file_name)
        if dataset.format in TABLES:
            convert_table(dataset, path, dataset_rows(dataset_id), report)
        if not report.problem_count and _read_and_finish(dataset, report, save):
            return
    except FileNotFoundError:
        hint = "Upload it again."
        report.add(0, Flaw("file-missing", "", "The uploaded file is gone from the data folder.", hint))
    except Flaw as flaw:
        report.add(0, flaw)
    refuse_dataset(dataset, report, save)


def _read_and_finish(dataset: Dataset, report: Report, save: Save) -> bool:
    """Whether the dataset is ready; False when its rows have problems."""
    survey = Survey()
    with closing(KeySpool(dataset_file(0).parent)) as spool:
        _read(dataset, report, survey, spool, save)
        if report.problem_count:
            return False
        for twins in spool.twins():
            with save() as session:
                store_twins(session, dataset.id or 0, twins)
    _finish(dataset, report, survey, spool, save)
    return True


def _read(dataset: Dataset, report: Report, survey: Survey, spool: KeySpool, save: Save) -> None:
    """Reads all items; a batch is stored by a second thread while the next one is read."""
    dataset_id, path = dataset.id or 0, rows_file(dataset)
    size = max(1, path.stat().st_size)
    reader = LineReader(path, lines_before=1 if dataset.format == "csv" else 0)
    waiting: list[Columns] = []
    with ThreadPoolExecutor(1) as writer:
        stored = writer.submit(lambda: None)
        for batch in read_jsonl(reader, FORMATS[dataset.row_format], report):
            if report.problem_count:
                # The file is refused: the rest is only read for its problems.
                waiting = []
                continue
            indexed = index_batch(batch, report.items - len(batch.lines))
            survey.add(batch, indexed, report)
            spool.add(indexed.normalised, indexed.columns.content_key, indexed.answer_keys)
            waiting.append(indexed.columns)
            if len(waiting) >= STORED_AT_ONCE:
                stored.result()
                done = READ_SHARE * batch.offsets[-1] / size
                stored = writer.submit(_store, dataset_id, waiting, save, done)
                waiting = []
        stored.result()
        if waiting and not report.problem_count:
            _store(dataset_id, waiting, save, READ_SHARE)


def _store(dataset_id: int, waiting: list[Columns], save: Save, progress: float) -> None:
    with save() as session:
        insert_items(session, dataset_id, waiting)
        _update(session, dataset_id, progress=progress)


def _finish(dataset: Dataset, report: Report, survey: Survey, spool: KeySpool, save: Save) -> None:
    dataset_id = dataset.id or 0
    dataset.items = report.items
    dataset.task = dataset.task or ""
    dataset.task_detected = detect_task(survey.answers)
    task = dataset.task or dataset.task_detected
    counts = survey.answers.counts() if task == "classification" else {}
    dataset.labels = order_labels(counts, survey.instruction)
    limit = long_answer(survey.answer_sizes)
    with session_scope(write=False) as session:
        for code, found in (("duplicate", spool.duplicates), ("contradiction", spool.contradictions)):
            _add_found(report, code, (found.count, lines_of(session, dataset_id, found.numbers)))
        if survey.answer_sizes.largest > limit and task in ("classification", "number", "text"):
            _add_found(report, "long-answer", found_lines(session, dataset_id, "long-answer", limit))
        if 0 < survey.rejected < report.items:
            _add_found(
                report, "some-without-rejected", found_lines(session, dataset_id, "some-without-rejected")
            )
        dataset.facts = {**dataset.facts, "rejected": survey.rejected}
        codes = survey.answers.codes_by(dataset.labels) if dataset.labels else None
        known = Known(codes, twins(session, dataset), rejected_items(session, dataset))
        split = _first_split(session, dataset, survey.parts, report, known)
        keys = _metadata_keys(session, dataset)
    facts = dataset_facts(survey.tokens, survey.characters, survey.answer_sizes)
    facts |= {"labels": {label: counts[label] for label in dataset.labels}, "metadata_keys": keys}
    facts["rejected"] = survey.rejected
    with save() as session:
        session.add(split)
        _update(
            session,
            dataset_id,
            state=DatasetState.READY,
            progress=1.0,
            format=dataset.format,
            row_format=dataset.row_format,
            mapping=dataset.mapping,
            task=task,
            task_detected=dataset.task_detected,
            labels=dataset.labels,
            items=report.items,
            facts=facts,
            problems=[],
            problem_count=0,
            warnings=[asdict(warning) for warning in report.warnings],
        )
        if (rows := dataset_rows(dataset_id)).is_file():
            note(session, rows)


def _first_split(session: Session, dataset: Dataset, parts: Any, report: Report, known: Known) -> Split:
    """The file's own split where it names test rows, else a seeded one; with warnings about it."""
    dataset_id = dataset.id or 0
    named = bool(parts[:UNUSED].sum())
    if named and parts[TEST]:
        if parts[UNUSED]:
            _add_found(report, "some-without-split", found_lines(session, dataset_id, "some-without-split"))
        if not parts[VALIDATION]:
            report.warn("no-validation-part", [])
        split = draw_split(session, dataset, SplitRequest("file"), known)
    else:
        if named:
            report.warn("no-test-part", [])
        split = draw_split(session, dataset, SplitRequest("seeded"), known)
    leaks = split.facts["leaks"]
    for code, count, lines in (("leak", "exact", "lines"), ("near-leak", "near", "near_lines")):
        if leaks[count]:
            report.warn(code, leaks[lines], leaks[count])
    return split


def _add_found(report: Report, code: str, found: tuple[int, list[int]]) -> None:
    count, lines = found
    if count:
        report.warn(code, lines, count)


def _metadata_keys(session: Session, dataset: Dataset) -> list[str]:
    """Keys of the first rows whose values can name groups, nested ones as "outer.inner"."""
    places = select(Item.offset, Item.length).where(
        Item.dataset_id == dataset.id, col(Item.number) < KEYS_LOOKED_AT
    )
    keys: dict[str, None] = {}
    with open_rows(dataset) as rows:
        for offset, length in session.exec(places):
            keys |= dict.fromkeys(scalar_keys(rows.keys(offset, length)))
    return list(keys)[:KEYS_NAMED]


def refuse_dataset(dataset: Dataset, report: Report, save: Save) -> None:
    """Keeps the report and removes the file, unless only a mapping of its columns is wanted."""
    dataset_id = dataset.id or 0
    unmapped = all(problem.code == UNMAPPED for problem in report.problems)
    with save() as session:
        clear_index(session, dataset_id)
        _update(
            session,
            dataset_id,
            state=DatasetState.REFUSED,
            progress=1.0,
            format=dataset.format,
            problems=[asdict(problem) for problem in report.problems],
            problem_count=report.problem_count,
            warnings=[asdict(warning) for warning in report.warnings],
            facts={"columns": dataset.facts.get("columns", [])} if unmapped else {},
        )
        forget(session, dataset_path(dataset_id).with_suffix(".rows"))
        if not unmapped:
            forget(session, dataset_path(dataset_id))
    remove(dataset_rows(dataset_id))
    if not unmapped:
        remove(dataset_file(dataset_id))


def _update(session: Session, dataset_id: int, **values: Any) -> None:
    session.execute(update(Dataset).where(col(Dataset.id) == dataset_id).values(**values))
