"""No transaction of a request waits for the bucket."""

from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlmodel import Session

from app import bucket
from app.config import settings
from app.db import engine
from app.exports.weights import check_weights
from app.lab.actor import Actor
from app.runs.rescue_again import lacks_weights
from app.storage import remove, run_path
from app.stored_files import has
from app.tables import Export, ExportState, Run, RunState
from tests.storage.conftest import Wire, push_all
from tests.storage.test_bucket import make

pytestmark = pytest.mark.laptop


@pytest.fixture
def fetched(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """(key, connections in use) at each fetch from the bucket."""
    seen: list[tuple[str, int]] = []
    real = bucket.get

    def get(key: str, *more: Any) -> None:
        in_use = (engine(write).pool.checkedout() for write in (True, False))  # type: ignore[attr-defined]
        seen.append((key, sum(in_use)))
        real(key, *more)

    monkeypatch.setattr(bucket, "get", get)
    return seen


def test_a_download_holds_no_connection_while_it_fetches(
    fetched: list[tuple[str, int]], client: TestClient, session: Session, actor: Actor
) -> None:
    own: dict[str, Any] = {"project_id": actor.project_id, "maker_id": actor.member_id}
    ready = {"state": ExportState.READY, "file_name": "w.zip", "sha256": "0" * 64}
    session.add(Export(**own, **ready, id=1, kind="weights"))
    session.commit()
    session.close()
    make("exports", "1", b"an export")
    push_all()
    (settings().folder / "exports" / "1").unlink()
    assert client.get("/api/v1/exports/1/file").content == b"an export"
    assert fetched == [("exports/1", 0)]


def test_forms_ask_the_rows_and_fetch_nothing(fetched: list[tuple[str, int]]) -> None:
    make("runs", "7/out/adapter/adapter_model.safetensors", b"weights")
    push_all()
    remove(run_path(7))
    run = Run(
        id=7, project_id=1, maker_id=1, experiment_id=1, dataset_id=1, split_id=1, launch_key="tb-1",
        model="hf/one", state=RunState.DONE,
    )  # fmt: skip
    check_weights(run)
    assert not lacks_weights(run, None)
    assert has(run_path(7))
    assert not has(run_path(8))
    assert fetched == []
