"""/files as OpenAI has it: send, list, look, read, remove."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from fastapi.responses import FileResponse, Response, StreamingResponse

from app.door import files
from app.evaluations.queries import scored_run
from app.web.session import Acting, Database
from app.web.upload import Uploading, upload_body

router = APIRouter()
UPLOAD_BODY = upload_body(
    ("purpose",),
    purpose="fine-tune or batch",
    **{"expires_after[anchor]": "created_at", "expires_after[seconds]": "3600 to 2592000"},
)


@router.post("/files", openapi_extra=UPLOAD_BODY)
def post_file(upload: Uploading, session: Database, actor: Acting) -> dict[str, Any]:
    """Takes a file of JSON Lines. Data for tuning is checked when a job uses it."""
    made = files.take_file(
        session,
        actor,
        upload.path,
        purpose=files.check_purpose(upload.text("purpose")),
        name=upload.file_name,
        sha256=upload.sha256,
        size=upload.size,
        seconds=files.check_lifetime(
            upload.text("expires_after[anchor]"), upload.text("expires_after[seconds]")
        ),
    )
    return files.file_json(made)


@router.get("/files")
def get_files(
    session: Database,
    actor: Acting,
    purpose: str | None = None,
    after: str | None = None,
    limit: Annotated[int, Query(ge=1, le=files.MOST_FILES)] = files.MOST_FILES,
    order: Literal["asc", "desc"] = "desc",
) -> dict[str, Any]:
    """The project's files, the newest first."""
    return files.list_files(session, actor, purpose, after, limit, order == "asc")


@router.get("/files/{file_id}")
def get_file(file_id: str, session: Database, actor: Acting) -> dict[str, Any]:
    """One file."""
    if (run_id := files.run_of(file_id)) is not None:
        return files.predictions_json(session, actor, run_id)
    return files.file_json(files.find_file(session, actor, file_id))


@router.get("/files/{file_id}/content")
def get_content(file_id: str, session: Database, actor: Acting) -> Response:
    """Its bytes."""
    if (run_id := files.run_of(file_id)) is not None:
        scored_run(session, actor, run_id)
        headers = {"content-disposition": f'attachment; filename="run-{run_id}-predictions.csv"'}
        return StreamingResponse(files.predictions(actor, run_id), headers=headers, media_type="text/csv")
    file = files.find_file(session, actor, file_id)
    return FileResponse(files.stored_path(file), media_type="application/octet-stream", filename=file.name)


@router.delete("/files/{file_id}")
def delete_file(file_id: str, session: Database, actor: Acting) -> dict[str, Any]:
    """Removes it; datasets and runs that were made of it stay."""
    files.remove_file(session, actor, file_id)
    return {"id": file_id, "object": "file", "deleted": True}
