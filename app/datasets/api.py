"""Datasets as JSON: upload, look, splits, task, items, download."""

import json
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import FileResponse, StreamingResponse
from pydantic import BaseModel, Field

from app.datasets.from_hub import add_from_hub
from app.datasets.make_split import SplitRequest
from app.datasets.original import stored_file
from app.datasets.queries import (
    DatasetView,
    SplitView,
    dataset_view,
    items_page,
    list_datasets,
    list_samples,
)
from app.datasets.service import add_sample, correct_task, make_split, map_dataset, upload_dataset
from app.datasets.split_file import split_rows
from app.errors import Invalid
from app.web.session import Acting, Database
from app.web.upload import Uploading, upload_body

router = APIRouter()
UPLOAD_BODY = upload_body(
    (),
    name="",
    task="left out: detected",
    mapping='JSON, for CSV and Parquet: {"prompt": column, "answer": column}',
)


class TaskAsked(BaseModel):
    """A correction of the task."""

    task: str


class MappingAsked(BaseModel):
    """Columns of a CSV or Parquet file by field: prompt, answer, rejected, system, split."""

    mapping: dict[str, str]


class SplitAsked(BaseModel):
    """A split to make; shares are of 1. Grouped splits need `key` or `pattern`."""

    kind: str = "seeded"
    name: str = Field("", max_length=100)
    seed: int = 1
    test: float = Field(0.1, allow_inf_nan=False)
    validation: float = Field(0.1, allow_inf_nan=False)
    key: str = Field("", max_length=200)
    pattern: str = Field("", max_length=1000)
    test_groups: list[str] = []
    validation_groups: list[str] = []
    # Kind "file" alone: the share of train that becomes the validation part where the file names none.
    of_train: float = Field(0.0, allow_inf_nan=False)
    # Likewise the share of train that becomes the test part.
    test_of_train: float = Field(0.0, allow_inf_nan=False)


class HubAsked(BaseModel):
    """A data set repository of the Hugging Face Hub; `file` only where it holds several that do not belong together."""

    repo: str = Field(max_length=200)
    revision: str = Field("main", max_length=200)
    file: str | None = Field(None, max_length=500)


@router.get("/datasets")
def get_datasets(session: Database, actor: Acting, before: int | None = None) -> dict[str, Any]:
    """The newest datasets, 50 at most; `before` an id gives older ones."""
    return {"datasets": list_datasets(session, actor, before)}


@router.post("/datasets", status_code=201, openapi_extra=UPLOAD_BODY)
def post_dataset(upload: Uploading, session: Database, actor: Acting) -> dict[str, Any]:
    """Takes a file; its check runs in the background: look at the dataset until its state is ready or refused."""
    dataset = upload_dataset(
        session,
        actor,
        upload.path,
        file_name=upload.file_name,
        sha256=upload.sha256,
        size=upload.size,
        name=upload.text("name"),
        mapping=read_mapping(upload.text("mapping")),
        task=upload.text("task"),
    )
    return dataset_json(dataset_view(session, actor, dataset.id or 0))


@router.post("/datasets/from-hub", status_code=202)
def post_from_hub(asked: HubAsked, session: Database, actor: Acting) -> dict[str, Any]:
    """Fetches a data set from a Hugging Face repository and checks it, in the background; its `origin` then
    names the commit."""
    dataset = add_from_hub(session, actor, asked.repo, asked.revision, asked.file or "")
    return dataset_json(dataset_view(session, actor, dataset.id or 0))


@router.get("/samples")
def get_samples() -> dict[str, Any]:
    """The built-in sample datasets."""
    return {
        "samples": [
            {"name": sample.name, "title": sample.title, "sentence": sample.sentence, "origin": sample.origin}
            for sample in list_samples()
        ]
    }


@router.post("/samples/{name}", status_code=201)
def post_sample(name: str, session: Database, actor: Acting) -> dict[str, Any]:
    """Makes a dataset from a built-in sample."""
    return dataset_json(dataset_view(session, actor, add_sample(session, actor, name).id or 0))


@router.get("/datasets/{dataset_id}")
def get_dataset(dataset_id: int, session: Database, actor: Acting) -> dict[str, Any]:
    """A dataset with what its check found and all its splits."""
    return dataset_json(dataset_view(session, actor, dataset_id))


@router.patch("/datasets/{dataset_id}")
def patch_dataset(dataset_id: int, asked: TaskAsked, session: Database, actor: Acting) -> dict[str, Any]:
    """Corrects the task of a ready dataset."""
    correct_task(session, actor, dataset_id, asked.task)
    return dataset_json(dataset_view(session, actor, dataset_id))


@router.post("/datasets/{dataset_id}/mapping")
def post_mapping(dataset_id: int, asked: MappingAsked, session: Database, actor: Acting) -> dict[str, Any]:
    """Checks a file again that was refused because its columns could not be told apart."""
    map_dataset(session, actor, dataset_id, asked.mapping)
    return dataset_json(dataset_view(session, actor, dataset_id))


@router.post("/datasets/{dataset_id}/splits", status_code=201)
def post_split(dataset_id: int, asked: SplitAsked, session: Database, actor: Acting) -> dict[str, Any]:
    """Draws one more split, frozen from then on."""
    groups = {
        "test_groups": tuple(asked.test_groups),
        "validation_groups": tuple(asked.validation_groups),
    }
    made = make_split(session, actor, dataset_id, SplitRequest(**{**asked.model_dump(), **groups}))
    view = dataset_view(session, actor, dataset_id)
    return split_json(next(split for split in view.splits if split.id == made.id))


@router.get("/datasets/{dataset_id}/items")
def get_items(
    dataset_id: int,
    session: Database,
    actor: Acting,
    split: str | None = None,
    part: str = "",
    after: int = -1,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> dict[str, Any]:
    """Items as chats, behind the number `after`; `next_after` continues, null at the end."""
    page = items_page(session, actor, dataset_id, split=split, part=part, after=after, limit=limit)
    return {
        "items": [
            {
                "item": shown.item.item_id,
                "number": shown.item.number,
                "line": shown.item.line,
                "part": shown.part,
                "group": shown.item.group,
                "messages": [*shown.item.prompt, shown.item.answer_message],
                "tools": shown.item.tools,
                "answer": shown.item.answer,
                "rejected_message": shown.item.rejected_message,
            }
            for shown in page.items
        ],
        "total": page.total,
        "next_after": page.next_after,
    }


@router.get("/datasets/{dataset_id}/file")
def get_file(dataset_id: int, session: Database, actor: Acting) -> FileResponse:
    """The file, byte for byte as it was uploaded."""
    path, name = stored_file(session, actor, dataset_id)
    return FileResponse(path, media_type="application/octet-stream", filename=name)


@router.get("/datasets/{dataset_id}/splits/{split_id}.jsonl")
def get_split_file(dataset_id: int, split_id: int, session: Database, actor: Acting) -> StreamingResponse:
    """The split as OpenPipe's JSON Lines, each row with its part."""
    name, lines = split_rows(session, actor, dataset_id, split_id)
    headers = {"content-disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(lines, media_type="application/jsonl", headers=headers)


def read_mapping(text: str) -> dict[str, Any]:
    """The mapping as posted: a JSON object, or nothing. Raises Invalid for other text."""
    try:
        mapping = json.loads(text) if text else {}
    except (ValueError, RecursionError):
        mapping = None
    if not isinstance(mapping, dict):
        raise Invalid(
            "The mapping is no JSON object.",
            'Write for example {"prompt": "question", "answer": "label"}.',
            {"mapping": "no JSON object"},
        )
    return mapping


def dataset_json(view: DatasetView) -> dict[str, Any]:
    """A dataset as the API gives it; `splits` are the default split's counts, all splits are in `all_splits`."""
    counts = view.split.counts if view.split else {}
    return {
        "id": view.id,
        "name": view.name,
        "sha256": view.sha256,
        "state": view.state,
        "progress": view.progress,
        "task": view.task,
        "task_detected": view.task_detected,
        "labels": view.labels,
        "splits": {part: counts.get(part, 0) for part in ("train", "validation", "test")},
        "problems": view.problems,
        "problem_count": view.problem_count,
        "warnings": view.warnings,
        "items": view.items,
        "size_bytes": view.size_bytes,
        "file_name": view.file_name,
        "format": view.format,
        "format_title": view.format_title,
        "mapping": view.mapping,
        "columns": view.columns,
        "facts": view.facts,
        "all_splits": [split_json(split) for split in view.splits],
        "origin": view.origin,
        "created_at": view.created_at,
    }


def split_json(split: SplitView) -> dict[str, Any]:
    """A split as the API gives it."""
    return {
        "id": split.id,
        "name": split.name,
        "kind": split.kind,
        "parameters": split.parameters,
        "sha256": split.sha256,
        "counts": split.counts,
        "labels": split.labels,
        "leaks": split.leaks,
        "rejected": split.rejected,
        "ceiling": split.ceiling,
        "groups": split.groups,
        "remarks": split.remarks,
        "default": split.default,
        "created_at": split.created_at,
    }
