"""Takes full-page pictures of pages in each look, and notes what the browser complains about."""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from playwright.sync_api import Browser, Page, Playwright

ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# Name, colour scheme, width in CSS pixels.
LOOKS = (("light", "light", 1440), ("dark", "dark", 1440), ("phone", "light", 390))


def chromium_path() -> str | None:
    """The browser of this machine; None lets playwright look for its own."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return next((found for name in names if (found := shutil.which(name))), None)


def launch(playwright: Playwright) -> Browser:
    """A headless Chromium that speaks to nobody but us."""
    return playwright.chromium.launch(executable_path=chromium_path(), args=ARGS)


def take_pictures(
    browser: Browser,
    folder: Path,
    pages: Mapping[str, str],
    prepare: Callable[[Page], None] = lambda tab: None,
) -> list[str]:
    """Writes <page>-<look>.png for each page (name -> address); returns the complaints.

    `prepare` is called once with each fresh tab, for example to sign in.
    """
    folder.mkdir(parents=True, exist_ok=True)
    complaints: list[str] = []
    for look, scheme, width in LOOKS:
        tab = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
        _listen(tab, complaints)
        prepare(tab)
        for name, address in pages.items():
            complaints += _picture(tab, address, folder / f"{name}-{look}.png", width)
        tab.close()
    return complaints


def _listen(tab: Page, complaints: list[str]) -> None:
    tab.on("console", lambda message: complaints.append(message.text))
    tab.on("pageerror", lambda error: complaints.append(str(error)))


def _picture(tab: Page, address: str, path: Path, width: int) -> list[str]:
    tab.set_viewport_size({"width": width, "height": 900})
    tab.goto(address, wait_until="load")
    tab.wait_for_timeout(350)
    wide = tab.evaluate("document.documentElement.scrollWidth > innerWidth")
    height = tab.evaluate("document.documentElement.scrollHeight")
    tab.set_viewport_size({"width": width, "height": min(max(int(height), 900), 6000)})
    tab.wait_for_timeout(200)
    tab.screenshot(path=path, full_page=True)
    return [f"{path.stem} at {width} px is wider than the window"] if wide else []
