"""What the "Share" section of the run page and the API show of exports."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlmodel import Session

from app.errors import Conflict
from app.exports.kinds import KINDS, Kind
from app.exports.service import UNDER_WAY, exports_of
from app.format import size
from app.lab.actor import Actor, find
from app.tables import Export, Run

_NAMED = ("apache-2.0", "mit", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "llama3.1", "llama3.2", "other")
LICENSES = (("", "not said"), *((name, name) for name in _NAMED))


@dataclass(frozen=True)
class ExportLine:
    """One export as a line. `href` is the file's address or the repository's, "" while there is none."""

    id: int
    label: str
    note: str
    state: str
    active: bool
    progress: float
    said: str
    href: str
    download: bool
    error: str
    hint: str
    at: datetime


@dataclass(frozen=True)
class ShareView:
    """The section: what can be asked for, what was asked for."""

    run_id: int
    files: list[Kind]
    pushes: list[Kind]
    lines: list[ExportLine]
    active: bool
    licenses: tuple[tuple[str, str], ...]


def share_view(session: Session, actor: Actor, run_id: int) -> ShareView:
    """The run's section; kinds that the run has nothing for are left out."""
    run: Run = find(session, actor, Run, run_id)
    fitting = [kind for kind in KINDS.values() if _fits(kind, run)]
    lines = [_line(export) for export in exports_of(session, actor, run_id)]
    return ShareView(
        run_id,
        [kind for kind in fitting if not kind.pushes],
        [kind for kind in fitting if kind.pushes],
        lines,
        any(line.active for line in lines),
        LICENSES,
    )


def _fits(kind: Kind, run: Run) -> bool:
    try:
        kind.fits(run)
    except Conflict:
        return False
    return True


def _line(export: Export) -> ExportLine:
    kind = KINDS[export.kind]
    file = f"/exports/{export.id}/file" if export.file_name and export.sha256 else ""
    return ExportLine(
        export.id or 0,
        kind.label,
        _asked(export.parameters),
        export.state,
        export.state in UNDER_WAY,
        export.progress,
        _said(export),
        file or str(export.result.get("url", "")),
        bool(file),
        export.error,
        export.hint,
        export.created_at,
    )


def _asked(parameters: Mapping[str, Any]) -> str:
    named = ("precision", "repo", "license")
    return ", ".join(str(parameters[name]) for name in named if parameters.get(name))


def _said(export: Export) -> str:
    if export.state in UNDER_WAY:
        return export.progress_note or "waits for a worker"
    if "changed" in export.result:
        changed = int(export.result["changed"])
        commit = str(export.result["commit"])[:8]
        return (
            f"commit {commit}, {changed} files sent" if changed else f"commit {commit}, all was there already"
        )
    return size(export.size_bytes) if export.sha256 else ""


def export_json(export: Export) -> dict[str, Any]:
    """An export as the API gives it; `file` is there when it is ready and has one."""
    return {
        "id": export.id,
        "kind": export.kind,
        "run_id": export.run_id,
        "parameters": export.parameters,
        "state": export.state,
        "progress": export.progress,
        "progress_note": export.progress_note,
        "file_name": export.file_name or None,
        "size_bytes": export.size_bytes if export.sha256 else None,
        "sha256": export.sha256 or None,
        "file": f"/api/v1/exports/{export.id}/file" if export.sha256 else None,
        "result": export.result,
        "error": export.error or None,
        "hint": export.hint or None,
        "created_at": export.created_at,
    }
