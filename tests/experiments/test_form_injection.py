"""Arguments, commands and control characters in every field of the launch form: refused or kept as text, never run."""

import re
from html import unescape
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlmodel import Session, select

from app.lab.actor import Actor
from app.tables import Run
from tests.experiments.checked import checked_dataset, finish

pytestmark = [pytest.mark.laptop, pytest.mark.slow]


def poison(canary: Path) -> tuple[str, ...]:
    return (
        *("--output_dir=/", "-c", f"$(touch {canary})", f"`touch {canary}`", f"; touch {canary} #"),
        *(
            f"x\ntouch {canary}\n",
            "a\x00b",
            f"| touch {canary}",
            "{{7*7}}",
            "../../../etc/passwd",
            "9" * 400,
            "\ud7ff\x1b[2J",
        ),
    )


def fields(page: str) -> list[str]:
    """The names of all that can be typed, ticked or chosen."""
    found = re.findall(r"<(?:input|select|textarea)\b[^>]*\bname=\"([^\"]+)\"", page)
    return list(dict.fromkeys(unescape(name) for name in found))


def test_no_field_is_run(
    client: TestClient, session: Session, actor: Actor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("app.queue.send", lambda task, *ids: None)
    dataset, canary = checked_dataset(session, actor), tmp_path / "canary"
    names = fields(client.get(f"/experiments/new?dataset={dataset.id}").text)
    assert len(names) > 10, names
    kept = {
        "dataset": str(dataset.id),
        "dataset_id": str(dataset.id),
        "models": "baseline/majority",
        "model": "baseline/majority",
    }
    launched = 0
    for value in poison(canary):
        everywhere = dict.fromkeys(names, value) | {"models": "baseline/majority"}
        for body in (everywhere, everywhere | {name: kept[name] for name in names if name in kept}):
            for path in ("/experiments/plan", "/experiments"):
                status = client.post(path, data=body, follow_redirects=False).status_code
                assert status < 500, (path, value)
        # What is taken as a name is kept as text, and what runs then is a program with fixed arguments.
        asked = {"dataset_id": dataset.id, "models": [{"model": "baseline/majority"}], "name": value}
        launched += client.post("/api/v1/experiments", json=asked).status_code == 201
    assert launched >= 5
    runs = list(session.exec(select(Run)))[:2]
    session.commit()
    finish(runs)
    assert not canary.exists()
