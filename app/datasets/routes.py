"""Datasets: the list with its drop zone and samples, one dataset, its items, its forms, its file."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, HTMLResponse, Response, StreamingResponse
from sqlmodel import Session

from app.datasets import page as drawing
from app.datasets.columns import FIELDS
from app.datasets.forms import SplitForm, read_split_form, split_request
from app.datasets.from_hub import add_from_hub
from app.datasets.original import stored_file
from app.datasets.queries import dataset_view, items_page, list_samples
from app.datasets.service import add_sample, correct_task, make_split, map_dataset, upload_dataset
from app.datasets.split_file import split_rows
from app.errors import Invalid, TunebookError
from app.lab.actor import Actor
from app.web.forms import Posted, text
from app.web.pages import fragment, page, see
from app.web.session import Acting, Database
from app.web.upload import Uploading

router = APIRouter()


@router.get("/datasets")
def list_page(request: Request, session: Database, actor: Acting, before: int | None = None) -> HTMLResponse:
    """The newest datasets, below the drop zone and the samples."""
    rows, last = drawing.list_page(session, actor, before)
    return page(
        request,
        "datasets/list.html",
        "Datasets",
        rows=rows,
        samples=list_samples(),
        older=f"/datasets?before={last}" if last else "",
        newer="/datasets" if before else "",
        hub_error=None,
        hub_tried={},
    )


@router.post("/datasets/from-hub")
def from_hub(request: Request, session: Database, actor: Acting, form: Posted) -> Response:
    """Takes a data set from a Hugging Face repository; its page follows the fetching."""
    tried = {name: text(form, name) for name in ("repo", "revision", "file")}
    try:
        dataset = add_from_hub(session, actor, **tried)
    except Invalid as error:
        session.rollback()
        rows, last = drawing.list_page(session, actor, None)
        return page(
            request,
            "datasets/list.html",
            "Datasets",
            status=422,
            rows=rows,
            samples=list_samples(),
            older=f"/datasets?before={last}" if last else "",
            newer="",
            hub_error=error,
            hub_tried=tried,
        )
    return see(f"/datasets/{dataset.id}")


@router.post("/datasets")
def upload(request: Request, upload: Uploading, session: Database, actor: Acting) -> Response:
    """Takes a file and queues its check; the page of the new dataset follows it."""
    dataset = upload_dataset(
        session,
        actor,
        upload.path,
        file_name=upload.file_name,
        sha256=upload.sha256,
        size=upload.size,
        name=upload.text("name"),
    )
    return see(f"/datasets/{dataset.id}")


@router.post("/datasets/samples")
def use_sample(session: Database, actor: Acting, form: Posted) -> Response:
    """Adds a built-in sample as a dataset of one's own."""
    dataset = add_sample(session, actor, text(form, "sample"))
    return see(f"/datasets/{dataset.id}")


@router.get("/datasets/{dataset_id}")
def dataset_page(request: Request, dataset_id: int, session: Database, actor: Acting) -> HTMLResponse:
    """One dataset: its check while it runs, its problems when refused, else everything about it."""
    return _dataset(request, session, actor, dataset_id)


def _dataset(
    request: Request, session: Session, actor: Actor, dataset_id: int, *, status: int = 200, **tried: Any
) -> HTMLResponse:
    view = dataset_view(session, actor, dataset_id)
    shown = {"task_error": None, "split_form": SplitForm(), "split_error": None, "mapping_error": None}
    return page(
        request,
        "datasets/page.html",
        view.name,
        status=status,
        view=view,
        drawn=drawing.draw(view),
        **{**shown, **tried},
    )


@router.get("/datasets/{dataset_id}/splits/{split_id}.jsonl")
def split_file(dataset_id: int, split_id: int, session: Database, actor: Acting) -> StreamingResponse:
    """The split as OpenPipe's JSON Lines, each row with its part."""
    name, lines = split_rows(session, actor, dataset_id, split_id)
    headers = {"content-disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(lines, media_type="application/jsonl", headers=headers)


@router.get("/datasets/{dataset_id}/check")
def check_fragment(dataset_id: int, session: Database, actor: Acting) -> HTMLResponse:
    """How far the check is; it asks again while it runs, and reads the page anew at its end."""
    view = dataset_view(session, actor, dataset_id)
    headers = {} if view.active else {"HX-Refresh": "true"}
    return fragment("datasets/_check.html", headers=headers, view=view)


@router.post("/datasets/{dataset_id}/task")
def set_task(request: Request, dataset_id: int, session: Database, actor: Acting, form: Posted) -> Response:
    """Corrects the task."""
    try:
        correct_task(session, actor, dataset_id, text(form, "task"))
    except TunebookError as error:
        return _again(request, session, actor, dataset_id, error, task_error=error)
    return see(f"/datasets/{dataset_id}#task")


@router.post("/datasets/{dataset_id}/splits")
def new_split(request: Request, dataset_id: int, session: Database, actor: Acting, form: Posted) -> Response:
    """Draws another split and freezes it."""
    asked = read_split_form(form)
    try:
        split = make_split(session, actor, dataset_id, split_request(asked))
    except TunebookError as error:
        tried = asked.with_errors(error.fields)
        return _again(request, session, actor, dataset_id, error, split_error=error, split_form=tried)
    return see(f"/datasets/{dataset_id}#split-{split.id}")


@router.post("/datasets/{dataset_id}/mapping")
def set_mapping(
    request: Request, dataset_id: int, session: Database, actor: Acting, form: Posted
) -> Response:
    """Says which column of a table is which, and reads the file again."""
    try:
        map_dataset(session, actor, dataset_id, {name: text(form, name) for name in FIELDS})
    except TunebookError as error:
        return _again(request, session, actor, dataset_id, error, mapping_error=error)
    return see(f"/datasets/{dataset_id}")


def _again(
    request: Request, session: Session, actor: Actor, dataset_id: int, error: TunebookError, **tried: Any
) -> HTMLResponse:
    """The page with what was refused and why; errors that are about no field have pages of their own."""
    if error.status not in (409, 422):
        raise error
    session.rollback()
    return _dataset(request, session, actor, dataset_id, status=error.status, **tried)


@router.get("/datasets/{dataset_id}/items")
def items(
    request: Request,
    dataset_id: int,
    session: Database,
    actor: Acting,
    split: int | None = None,
    part: str = "",
    after: int = -1,
) -> HTMLResponse:
    """All items in reading layout, or those of one part."""
    view = dataset_view(session, actor, dataset_id)
    found = items_page(session, actor, dataset_id, split=split, part=part, after=after, shown=True)
    return page(
        request,
        "datasets/items.html",
        f"Items of {view.name}",
        view=view,
        items=[drawing.item_view(shown) for shown in found.items],
        pager=drawing.items_pager(found, dataset_id, after),
    )


@router.get("/datasets/{dataset_id}/download")
def download(dataset_id: int, session: Database, actor: Acting) -> FileResponse:
    """The file as it was uploaded, byte for byte."""
    path, name = stored_file(session, actor, dataset_id)
    return FileResponse(path, media_type="application/octet-stream", filename=name)
