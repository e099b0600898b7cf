"""The compare page in a real browser: filters without reload, keys, an opened item, plots that come by themselves."""

import json
import random
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.browser.pictures import launch
from tests.stack import Stack, rule_rows, running_stack, wait_for

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    yield from running_stack(tmp_path_factory.mktemp("compare"))


@pytest.fixture(scope="module")
def address(stack: Stack) -> str:
    """A comparison of two imported sets of predictions and the majority."""
    dataset = stack.upload(rule_rows(300))
    made = stack.call(
        "POST", "/experiments", json={"dataset_id": dataset, "models": [{"model": "baseline/majority"}]}
    )
    majority = made["runs"][0]["id"]
    wait_for(lambda: stack.call("GET", f"/runs/{majority}")["state"] == "done", 60)
    items: list[dict[str, object]] = []
    after: int | None = -1
    while after is not None:
        page = stack.call("GET", f"/comparisons?runs={majority}" + (f"&after={after}" if after >= 0 else ""))
        items, after = items + page["items"], page["next_after"]
    runs = []
    for seed, share in ((1, 0.9), (2, 0.6)):
        draw = random.Random(seed)
        rows = [
            {
                "item": item["item"],
                "answer": item["expected"] if draw.random() < share else "acid",
                **{
                    f"p({label})": 0.5 if label == item["expected"] else 0.25
                    for label in ("acid", "base", "salt")
                },
            }
            for item in items
        ]
        file = ("p.jsonl", "\n".join(map(json.dumps, rows)).encode())
        path = f"/experiments/{made['id']}/predictions"
        runs.append(stack.call("POST", path, files={"file": file}, data={"model": f"mine {seed}"})["id"])
    return f"{stack.base}/compare?runs={runs[0]},{runs[1]}"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = launch(playwright)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def cookies(chromium: Browser, stack: Stack) -> object:
    """What a browser keeps that signed in."""
    context = chromium.new_context()
    context.new_page().goto(stack.link)
    kept = context.storage_state()
    context.close()
    return kept


@pytest.fixture
def tab(chromium: Browser, cookies: object, address: str) -> Iterator[Page]:
    """A signed-in tab on the comparison; whatever the browser complains about fails the test."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, storage_state=cookies)  # type: ignore[arg-type]
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(address)
    page.evaluate("window.same = true")
    yield page
    context.close()
    assert complaints == []


def test_a_filter_changes_the_items_without_a_reload(tab: Page):
    tab.get_by_role("link", name="answers differ").click()
    expect(tab).to_have_url(re.compile("show=disagree"))
    expect(tab.locator("#items h2")).not_to_contain_text("60 of 60")
    differing = tab.locator("#items h2").inner_text()
    tab.locator("select[name=label]").select_option("salt")
    tab.get_by_role("button", name="Filter").click()
    expect(tab.locator("#items h2")).not_to_have_text(differing)
    assert "label=salt" in tab.url
    assert "show=disagree" in tab.url
    assert set(tab.locator("#items tbody tr:not(.opened) td:nth-child(3)").all_inner_texts()) == {"salt"}
    tab.get_by_role("link", name="Show all items").click()
    expect(tab.locator("#items h2")).to_contain_text("60 of 60")
    assert tab.evaluate("window.same") is True
    # A reload shows what the address says.
    tab.get_by_role("link", name="all wrong", exact=True).click()
    expect(tab).to_have_url(re.compile("show=all_wrong"))
    shown = tab.locator("#items h2").inner_text()
    tab.reload()
    expect(tab.locator("#items h2")).to_have_text(shown)


def test_the_two_by_two_table_filters(tab: Page):
    cell = tab.locator(".flip a").nth(1)
    count = cell.locator("b").inner_text()
    cell.click()
    expect(tab.locator("#items h2")).to_contain_text(f"{count} of 60")
    expect(tab.locator(".flip a").nth(1)).to_have_attribute("aria-current", "true")


def test_keys_walk_and_open_rows(tab: Page):
    tab.keyboard.press("j")
    tab.keyboard.press("j")
    tab.keyboard.press("k")
    tab.keyboard.press("j")
    expect(tab.locator("#items tr.here")).to_have_count(1)
    assert (
        tab.evaluate(
            "[...document.querySelectorAll('[data-rows] > tr:not(.opened)')].findIndex(r => r.matches('.here'))"
        )
        == 1
    )
    tab.keyboard.press("Enter")
    opened = tab.locator("#items tr.opened:visible")
    expect(opened).to_have_count(1)
    expect(opened.locator(".whole")).to_have_count(2)
    expect(opened.locator(".probabilities").first).to_contain_text("50.0")
    tab.keyboard.press("/")
    expect(tab.get_by_label("Words in the input or an answer")).to_be_focused()


def test_pages_go_both_ways(tab: Page):
    first = tab.locator("#items tbody tr:not(.opened) td:first-child").all_inner_texts()
    tab.locator("#items").get_by_role("link", name="Next").click()
    expect(tab.locator("#items tbody tr:not(.opened) td:first-child").first).not_to_have_text(first[0])
    tab.locator("#items").get_by_role("link", name="Back").click()
    expect(tab.locator("#items tbody tr:not(.opened) td:first-child")).to_have_text(first)


def test_plots_come_and_can_be_taken(tab: Page):
    figures = tab.locator("#plots figure")
    expect(figures.first).to_be_visible(timeout=20_000)
    assert figures.count() >= 4
    for ending, begins in (("SVG", b"<svg"), ("PDF", b"%PDF"), ("CSV", b"run,model")):
        with tab.expect_download() as download:
            tab.get_by_role("link", name=f"Calibration as {ending}").click()
        assert Path(download.value.path()).read_bytes().startswith(begins)


def test_all_of_it_works_without_javascript(chromium: Browser, cookies: object, address: str):
    context = chromium.new_context(java_script_enabled=False, storage_state=cookies)  # type: ignore[arg-type]
    page = context.new_page()
    page.goto(address)
    page.get_by_role("link", name="answers differ").click()
    assert "show=disagree" in page.url
    page.locator("select[name=label]").select_option("base")
    page.get_by_role("button", name="Filter").click()
    assert "label=base" in page.url
    page.get_by_role("link", name="Read the item in line").first.click()
    expect(page.locator(".whole")).to_have_count(2)
    page.get_by_role("link", name="Back to the items").click()
    page.get_by_role("link", name="Draw the plots").click()
    expect(page.locator("figure.drawn").first).to_be_visible()
    context.close()
