"""The whole job in a real browser: sign in, upload, tick, launch, watch, download, compare. And a bad upload."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from tests.browser.pictures import launch
from tests.stack import Stack, rule_rows, running_stack, wait_for

pytestmark = pytest.mark.browser
ITEMS = 40
A_WHILE = 60_000


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    yield from running_stack(tmp_path_factory.mktemp("journey"))


@pytest.fixture(scope="module")
def tab(stack: Stack) -> Iterator[Page]:
    """A signed-in tab; what the browser complains about fails the test that it happens in."""
    with sync_playwright() as playwright:
        browser = launch(playwright)
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(stack.link)
        expect(page).to_have_url(f"{stack.base}/")
        yield page
        browser.close()


@pytest.fixture(autouse=True)
def complaints(tab: Page) -> Iterator[list[str]]:
    found: list[str] = []

    def hear(message: object) -> None:
        text = getattr(message, "text", str(message))
        # A refused form is answered with 422, which the browser reports as an error of its own.
        if getattr(message, "type", "error") == "error" and "422" not in text:
            found.append(text)

    tab.on("console", hear)
    tab.on("pageerror", hear)
    yield found
    tab.remove_listener("console", hear)
    tab.remove_listener("pageerror", hear)
    assert found == []


def choose_file(tab: Page, stack: Stack, name: str, rows: str) -> None:
    tab.goto(f"{stack.base}/datasets")
    file = {"name": name, "mimeType": "application/jsonl", "buffer": rows.encode()}
    tab.locator("input[type=file]").set_input_files(file)  # type: ignore[arg-type]


def saved(tab: Page, link: str) -> list[dict[str, str]]:
    """The rows of a CSV that a link downloads."""
    with tab.expect_download() as download:
        tab.get_by_role("link", name=link, exact=True).first.click()
    return list(csv.DictReader(io.StringIO(Path(download.value.path()).read_text())))


def test_a_bad_file_is_explained_line_by_line(tab: Page, stack: Stack):
    rows = rule_rows(20).replace('"assistant"', '"asistant"', 1) + "{broken\n"
    choose_file(tab, stack, "bad.jsonl", rows)
    expect(tab.get_by_text("refused").first).to_be_visible(timeout=A_WHILE)
    expect(tab.get_by_text("asistant").first).to_be_visible()
    expect(tab.get_by_text("line 21")).to_be_visible()


@pytest.mark.train
def test_from_upload_to_comparison(tab: Page, stack: Stack):
    choose_file(tab, stack, "flasks.jsonl", rule_rows(5 * ITEMS))
    tab.get_by_role("link", name="New experiment").first.click(timeout=A_WHILE)

    for model in ("Majority class", "Words, linear", "Starter, 0.85 M"):
        tab.get_by_label(model).check()
    tab.get_by_label("2 seeds").check()
    epochs = tab.get_by_label("Epochs").first
    epochs.fill("2")
    epochs.press("Tab")
    expect(tab.get_by_text("1 changed")).to_be_visible()
    tab.get_by_role("button", name="Launch 4 runs").click()

    # While nobody sees the tab nothing in it asks again.
    tab.locator("#leaderboard").wait_for()
    asked: list[str] = []
    tab.on("request", lambda request: asked.append(request.url))
    tab.evaluate("Object.defineProperty(document, 'hidden', {get: () => true, configurable: true})")
    asked.clear()
    tab.wait_for_timeout(2500)
    assert asked == []
    tab.evaluate("delete document.hidden")
    # The leaderboard brings itself up to date: nothing here reloads the page.
    tab.evaluate("window.same = true")
    expect(tab.locator("#leaderboard [data-state=done]")).to_have_count(4, timeout=3 * A_WHILE)
    assert tab.evaluate("window.same") is True
    experiment = tab.url

    tab.get_by_role("link", name="Starter, 0.85 M").first.click()
    expect(tab.locator(".chart canvas").first).to_be_visible(timeout=A_WHILE)
    ledger = tab.get_by_role("row", name="Epochs")
    expect(ledger).to_contain_text("you")
    rows = saved(tab, "Download CSV")
    assert len({row["item"] for row in rows}) == len(rows) == ITEMS
    assert {row["split"] for row in rows} == {"test"}
    assert all(
        abs(sum(float(row[f"p({label})"]) for label in ("acid", "base", "salt")) - 1) < 1e-4 for row in rows
    )

    tab.goto(experiment)
    tab.get_by_role("button", name="Compare the ticked runs").click()
    expect(tab.locator(".say")).to_contain_text("Words, linear")
    tab.get_by_role("link", name="answers differ").click()
    expect(tab.locator("#items tbody tr").first).to_be_visible()
    wide = saved(tab, "CSV of all runs")
    assert len(wide) == ITEMS
    assert sum(name.endswith(": answer_read") for name in wide[0]) == 4


def test_answers_are_scored_again_under_other_rules(tab: Page, stack: Stack):
    dataset = stack.upload(rule_rows(50))
    body = {"dataset_id": dataset, "models": [{"model": "baseline/majority"}]}
    run = stack.call("POST", "/experiments", json=body)["runs"][0]
    wait_for(lambda: stack.call("GET", f"/runs/{run['id']}")["state"] == "done", 60)
    tab.goto(f"{stack.base}/runs/{run['id']}")
    tab.get_by_text("Change the rules and score again").click()
    tab.get_by_label("Aliases").fill("acid = base\nsalt = base")
    tab.get_by_role("button", name="Score again").click()
    expect(tab.get_by_text("2 scorings kept")).to_be_visible()
    tab.get_by_text("Change the rules and score again").click()
    tab.get_by_label("Regular expression").fill("(")
    tab.get_by_role("button", name="Score again").click()
    expect(tab.get_by_role("alert")).to_contain_text("cannot be used")
