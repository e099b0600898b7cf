"""An export's file as a download, from pages and the API alike."""

from fastapi.responses import FileResponse
from sqlmodel import Session

from app.errors import Conflict, NotFound
from app.lab.actor import Actor, find
from app.runs.lock import check_unlocked
from app.storage import export_file
from app.tables import Export, ExportState


def export_download(session: Session, actor: Actor, export_id: int) -> FileResponse:
    """The finished file; raises Conflict while it is not ready, NotFound when it has none, Forbidden while its run's
    test set is locked."""
    export: Export = find(session, actor, Export, export_id)
    check_unlocked(session, [export.run_id] if export.run_id else [])
    if export.state != ExportState.READY:
        raise Conflict(
            f"Export {export_id} is {export.state}, not ready.", export.error or "Wait for its end."
        )
    path = export_file(export_id)
    if not export.sha256 or not path.is_file():
        raise NotFound(f"Export {export_id} has no file.", "A push has none; else ask for the export again.")
    headers = {"etag": f'"{export.sha256}"'}
    kind = "text/markdown; charset=utf-8" if export.file_name.endswith(".md") else "application/zip"
    return FileResponse(path, media_type=kind, filename=export.file_name, headers=headers)
