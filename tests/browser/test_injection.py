"""Text that tries to be code, in every name, row, answer and note, on every page that shows it, in a real browser."""

import csv
import hashlib
import json
import re
import socket
import threading
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import pytest
import uvicorn
from fastapi.testclient import TestClient
from playwright.sync_api import Page, sync_playwright
from sqlmodel import Session

from app.cells import is_number
from app.datasets.service import upload_dataset
from app.datasets.stored import part_items
from app.experiments.imports import import_predictions
from app.lab.actor import Actor
from app.lab.sign_in import make_token
from app.main import create_app
from app.runs.hosts import make_slots
from app.storage import incoming_file
from app.tables import Experiment, Split, TokenKind
from tests.browser.pictures import launch as launch_browser
from tests.experiments.checked import finish, launch

pytestmark = [pytest.mark.browser, pytest.mark.slow]
# Each would either set the mark, or stand as an element of its own, or ask another server, or ask ours by htmx.
ATTACKS = (
    '"><script>window.__xss=1</script><b data-xss>',
    "'><img src=https://evil.example/x onerror=window.__xss=1 data-xss>",
    "</textarea></title></option></script><svg data-xss onload=window.__xss=1>",
    '<div data-xss hx-get="/api/v1/models" hx-trigger="load" hx-on:htmx:load="window.__xss=1">',
    '" autofocus onfocus=window.__xss=1 data-xss="',
    "<a data-xss href=javascript:window.__xss=1>x</a><base data-xss href=//evil.example/>",
    "<iframe data-xss srcdoc='<script>parent.__xss=1</script>'></iframe><style data-xss>*{display:none}</style>",
    "{{7*7}}${7*7}<%=7*7%>[[7*7]]<math data-xss><mtext></math>\u202e\u2028\x7f",
)
LABELS = ("<b data-xss>", "'><i data-xss>", "=1+1<u data-xss>")
MOST_PAGES = 90


def rows() -> bytes:
    """Chat rows whose prompts, answers and groups are attacks."""
    made = []
    for number in range(60):
        attack = ATTACKS[number % len(ATTACKS)]
        messages = [
            {"role": "system", "content": attack},
            {"role": "user", "content": f"{number} {attack}"},
            {"role": "assistant", "content": LABELS[number % 3]},
        ]
        part = {7: "VALIDATION", 8: "TEST", 9: "TEST"}.get(number % 10, "TRAIN")
        made.append(json.dumps({"messages": messages, "family": ATTACKS[number % 4], "split": part}))
    return "\n".join(made).encode()


@pytest.fixture
def poisoned(session: Session, actor: Actor, client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Attacks in all that people and models write: a dataset, runs with answers, endpoints, tokens, machines."""
    from workers.datasets import check

    monkeypatch.setattr("app.queue.send", lambda task, *ids: None)
    data, path = rows(), incoming_file("attack")
    path.write_bytes(data)
    dataset = upload_dataset(
        session,
        actor,
        path,
        file_name=f"{ATTACKS[0]}.jsonl",
        sha256=hashlib.sha256(data).hexdigest(),
        size=len(data),
    )
    session.commit()
    check(dataset.id or 0)
    make_slots()
    session.refresh(dataset)
    assert dataset.state == "ready", dataset.report
    experiment, runs = launch(session, actor, dataset, "baseline/majority", "baseline/nearest")
    finish(runs)
    items = part_items(session, dataset, session.get_one(Split, experiment.split_id), "test")
    lines = [{"item": item.item_id, "answer": ATTACKS[n % len(ATTACKS)]} for n, item in enumerate(items)]
    file = BytesIO("\n".join(map(json.dumps, lines)).encode())
    import_predictions(session, actor, experiment.id or 0, "prompted model", file)
    named = session.get_one(Experiment, experiment.id)
    named.name = ATTACKS[2]
    session.add(named)
    session.commit()
    for attack in ATTACKS:
        client.post("/lab/tokens", data={"name": attack[:80]})
        body = {"name": attack[:60], "base_url": "https://api.example.org/v1", "model": attack[:100]}
        client.post("/api/v1/endpoints", json=body)
        client.post("/datasets/1/task", data={"kind": attack})
        client.post("/runs/1/rules", data={"name": attack, "trim": attack, "expression": attack})
        client.post("/lab/projects", data={"name": attack[:60]})
        client.post("/settings/compute", data={"kind": "ssh", "name": attack[:40], "host": "example.org"})


@pytest.fixture
def base(poisoned: None) -> Iterator[str]:
    """The application on a socket."""
    server = uvicorn.Server(uvicorn.Config(create_app(), log_level="critical"))
    listening = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    server.should_exit = True
    thread.join(10)


def shape(address: str) -> str:
    """Addresses that differ only in numbers lead to pages of one kind; two of each are looked at."""
    return re.sub(r"\d+", "1", address)


def links(tab: Page, base: str) -> list[str]:
    """Where the page leads within Tunebook; links that save a file lead to no page."""
    script = "[...document.querySelectorAll('a[href]:not([download])')].map(a => a.href)"
    found = [urljoin(base, address).partition("#")[0] for address in tab.evaluate(script)]
    files = re.compile(
        r"\.(csv|zip|json|jsonl|yaml|ipynb|svg|pdf|tex|bib|md|parquet|txt|html|png)\b|/file|/download"
    )
    return [each for each in found if each.startswith(base) and not files.search(urlsplit(each).path)]


def test_nothing_that_is_written_becomes_code(base: str, session: Session, actor: Actor) -> None:
    secret = make_token(session, actor, TokenKind.SIGN_IN)
    session.commit()
    trouble: list[str] = []
    with sync_playwright() as playwright:
        browser = launch_browser(playwright)
        tab = browser.new_page()
        tab.on("dialog", lambda dialog: (trouble.append(f"dialog {dialog.message}"), dialog.dismiss()))
        tab.on("console", lambda said: trouble.append(said.text) if "Content Security" in said.text else None)
        tab.on("request", lambda asked: trouble.append(asked.url) if not _ours(asked.url, base) else None)
        tab.goto(f"{base}/sign-in?token={secret}")
        waiting, seen, shown = [f"{base}/", f"{base}/datasets/1", f"{base}/runs/3", f"{base}/compare"], {}, 0
        visited: set[str] = set()
        while waiting and len(visited) < MOST_PAGES:
            address = waiting.pop(0)
            if address in visited or seen.get(shape(address), 0) >= 2:
                continue
            visited.add(address)
            seen[shape(address)] = seen.get(shape(address), 0) + 1
            tab.goto(address, wait_until="load")
            shown += "data-xss" in tab.inner_text("body")
            if tab.evaluate("window.__xss !== undefined || document.querySelector('[data-xss]') !== null"):
                trouble.append(f"{address} holds an element that a text made")
            waiting += links(tab, base)
        browser.close()
    assert not trouble, trouble[:20]
    assert len(visited) > 25, sorted(visited)
    assert shown > 10, "the attacks are on the pages, as text"


def test_no_csv_is_shown_or_runs_as_a_formula(
    base: str, session: Session, actor: Actor, tmp_path: Path
) -> None:
    """Each CSV that a page leads to is saved and not shown, and no cell of it begins as a formula."""
    secret = make_token(session, actor, TokenKind.SIGN_IN)
    session.commit()
    saved, texts = {}, 0
    with sync_playwright() as playwright:
        browser = launch_browser(playwright)
        tab = browser.new_page()
        tab.goto(f"{base}/sign-in?token={secret}")
        found: set[str] = set()
        for page in ("/compare?runs=1,2,3", "/runs/3", "/datasets/1", "/experiments/1", "/lab/audit"):
            tab.goto(base + page, wait_until="load")
            found |= set(tab.evaluate("[...document.querySelectorAll('a[href*=\".csv\"]')].map(a => a.href)"))
        for address in sorted(found):
            tab.goto(f"{base}/lab")
            with tab.expect_download() as download:
                tab.evaluate("address => { location.href = address }", address)
            path = tmp_path / "saved.csv"
            download.value.save_as(path)
            assert tab.url == f"{base}/lab", f"{address} was shown"
            with path.open(encoding="utf-8-sig", newline="") as file:
                saved[address] = list(csv.reader(file))
        browser.close()
    # "raw=1" is for programs: cells exactly as they are, and the page says so.
    for address, lines in saved.items():
        for cell in (cell for line in lines for cell in line):
            texts += "data-xss" in cell
            formula = cell.startswith(("=", "+", "-", "@", "\t", "\r")) and not is_number(cell)
            assert not formula or "raw=1" in address, (address, cell)
    assert len(saved) > 2, sorted(found)
    assert texts > 10, "the attacks are in the files, as text"


def _ours(address: str, base: str) -> bool:
    return address.startswith((base, "data:", "blob:", "about:", "chrome"))
