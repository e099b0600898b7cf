"""A picture of every page, light and dark, wide and phone: python -m tests.browser.shots FOLDER [NAME ...].

Serves the data folder (TUNEBOOK_DATA; `make seed` fills it) without a worker, so that every state stays.
"""

import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
from playwright.sync_api import Page, sync_playwright
from sqlmodel import col, select

from app.db import session_scope
from app.lab.actor import first_actor
from app.lab.sign_in import make_token
from app.tables import Dataset, DatasetState, Experiment, Run, RunState, TokenKind
from tests.browser.pictures import launch, take_pictures


def addresses() -> dict[str, str]:
    """Every page by a name for its picture, with rows of this data folder."""
    with session_scope(write=False) as session:
        ready = session.exec(select(Dataset.id).where(Dataset.state == DatasetState.READY)).first()
        refused = session.exec(select(Dataset.id).where(Dataset.state == DatasetState.REFUSED)).first()
        experiments = list(session.exec(select(Experiment.id).order_by(col(Experiment.id))))
        runs = {state: model for model, state in _newest_runs(session)}
        done = list(
            session.exec(
                select(Run.id).where(Run.experiment_id == experiments[0], Run.state == RunState.DONE)
            )
        )
    pages = {
        "home": "/",
        "datasets": "/datasets",
        "dataset": f"/datasets/{ready}",
        "dataset-items": f"/datasets/{ready}/items",
        "dataset-refused": f"/datasets/{refused}",
        "launch": f"/experiments/new?dataset={ready}",
        "launch-clone": f"/experiments/new?clone={done[-2]}",
        "experiments": "/experiments",
        "experiment": f"/experiments/{experiments[0]}",
        "experiment-states": f"/experiments/{experiments[-1]}",
        "compare-choose": "/compare",
        "compare": f"/compare?runs={','.join(map(str, done))}",
        "paper": f"/compare/paper?runs={','.join(map(str, done))}",
        "lab-leaderboard": "/compare/lab",
        "judge": f"/runs/{done[-1]}/judge",
        "judging": "/judgings/1",
        "judging-pair": "/judgings/2",
        "label": "/judgings/1/label",
        "models": "/models",
        "model": "/models/starter/tiny",
        "lab": "/lab",
        **{
            f"lab-{part}": f"/lab/{part}"
            for part in ("account", "audit", "members", "notifications", "projects")
        },
        "settings": "/settings",
        "settings-services": "/settings/services",
        "settings-budgets": "/settings/budgets",
        "settings-compute": "/settings/compute",
        "api": "/api/docs",
        "missing": "/runs/999999",
    }
    return pages | {f"run-{state}": f"/runs/{run_id}" for state, run_id in runs.items()}


def _newest_runs(session):  # type: ignore[no-untyped-def]
    """(run id, state), so that the newest run of each state comes last."""
    return session.exec(
        select(Run.id, Run.state).where(~col(Run.model).startswith("baseline/")).order_by(col(Run.id))
    ).all()


def shoot(folder: Path, only: list[str]) -> list[str]:
    """Takes the pictures; returns what the browser complained about."""
    port = _free_port()
    base = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "uvicorn", "--factory", "app.main:create_app", "--port", str(port)]
    server = subprocess.Popen([*command, "--no-access-log", "--log-level", "warning"])
    try:
        _wait(base)
        pages = {name: base + path for name, path in addresses().items() if not only or name in only}
        with sync_playwright() as playwright:
            browser = launch(playwright)
            complaints = take_pictures(browser, folder, pages, lambda tab: _sign_in(tab, base))
            if not only or "sign-in" in only:
                complaints += take_pictures(browser, folder, {"sign-in": f"{base}/sign-in"})
            browser.close()
    finally:
        server.terminate()
        server.wait()
    # The browser reports the status of pages that are meant to be errors.
    return [line for line in complaints if "status of 404" not in line and "status of 401" not in line]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(base: str) -> None:
    for _ in range(100):
        try:
            httpx.get(f"{base}/healthz")
            return
        except httpx.TransportError:
            time.sleep(0.1)
    raise SystemExit("The web server did not start.")


def _sign_in(tab: Page, base: str) -> None:
    with session_scope() as session:
        secret = make_token(session, first_actor(session), TokenKind.SIGN_IN)
    tab.goto(f"{base}/sign-in?token={secret}")


if __name__ == "__main__":
    for complaint in shoot(Path(sys.argv[1] if len(sys.argv) > 1 else "shots"), sys.argv[2:]):
        print(complaint)
