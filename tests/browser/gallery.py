"""Serves the style gallery under the real policy, and takes its pictures: python -m tests.browser.gallery FOLDER."""

import json
import math
import random
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace as View
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from playwright.sync_api import sync_playwright

from app import shapes
from app.web.security import CSP
from tests.browser.pictures import launch, take_pictures

ROOT = Path(__file__).parents[2]
PAGES = ("launch", "run", "compare", "parts", "sign_in", "error")
TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml", ".woff2": "font/woff2"}
SCORES = [
    ("Qwen3.5 9B", "2 seeds", 0.741, 0.697, 0.781, "$8.00", "26 min"),
    ("Characters, trees", "2 seeds", 0.724, 0.679, 0.765, "$0.00", "41 s"),
    ("Starter, 0.85 M", "2 seeds", 0.702, 0.656, 0.744, "$0.00", "2 min"),
    ("GPT-4.1-mini", "imported", 0.688, 0.641, 0.731, "–", "–"),
    ("Words, linear", "", 0.671, 0.624, 0.715, "$0.00", "3 s"),
    ("Majority class", "", 0.412, 0.366, 0.460, "$0.00", "1 s"),
]
ANSWERS = [
    (17, "CCCCCCCC(=O)O", "low", [("low", 71, 20), ("moderate", 52, 40), ("low", 64, 30)]),
    (23, "OCC(O)CO", "very high", [("very high", 93, 0), ("high", 49, 44), ("very high", 88, 0)]),
    (31, "c1ccc2ccccc2c1", "low", [("low", 97, 0), ("moderate", 61, 33), ("moderate", 48, 47)]),
    (58, "CC(C)(C)c1ccc(O)cc1", "moderate", [("moderate", 58, 37), ("low", 66, 28), ("low", 71, 22)]),
]
LEDGER = [
    ("epochs", "3", "3", "3", "you"),
    ("learning rate", "1e-4", "1e-4", "1e-4", "our default"),
    ("schedule", "cosine", "cosine", "cosine, 0.1 min", "provider default"),
    ("warm-up", "0.05", "0.05", "21 steps", "our default"),
    ("batch size", "8", "8", "8", "our default"),
    ("LoRA rank, alpha", "8, 32", "8, 32", "8, 32", "preset"),
    ("seed", "1", "1", "1", "you"),
    ("optimiser", "", "", None, "Together"),
]


def models(axis: shapes.Axis) -> list[View]:
    """Six invented models, placed on the axis."""
    rows = []
    for position, (name, note, value, low, high, cost, time) in enumerate(SCORES):
        colour = shapes.colour_number(position)
        text = f"{value:.1%}, {low:.1%} to {high:.1%}"
        rows.append(
            View(
                name=name,
                note=note,
                colour=colour,
                cost=cost,
                time=time,
                row=shapes.whisker(axis, value, low, high, colour, text),
                value=f"{value * 100:.1f}",
                low=f"{low * 100:.1f}",
                high=f"{high * 100:.1f}",
                f1=f"{value * 100 - 3.2:.1f}",
                loss=f"{1.62 - value * 1.1:.2f}",
            )
        )
    return rows


def items() -> list[View]:
    """Four invented items with three answers each."""
    rows = []
    for line, molecule, expected, answers in ANSWERS:
        made = []
        for text, first, second in answers:
            right = text == expected
            parts = [
                (first / 100, "expected" if right else "wrong"),
                (second / 100, "other" if right else "expected"),
            ]
            said = f"{text} {first} %"
            made.append(View(text=text, right=right, segments=shapes.stacked(parts), said=said))
        rows.append(View(line=line, molecule=molecule, expected=expected, answers=made))
    return rows


def series() -> dict[str, Any]:
    """An invented loss curve in the form that chart.js reads."""
    chance, steps = random.Random(4), list(range(0, 247, 2))
    train = [2.9 * math.exp(-i / 62) + 0.31 + chance.gauss(0, 0.045) for i in steps]
    validation = [2.9 * math.exp(-i / 66) + 0.42 if i % 24 == 20 else None for i in steps]
    lines = [
        {"name": "train", "values": train, "colour": 1, "points": False},
        {"name": "validation", "values": validation, "colour": 2, "points": True},
    ]
    return {"x": steps, "series": lines, "x_label": "step", "x_max": 420, "live": False}


def view() -> dict[str, Any]:
    """Everything that the gallery's pages show."""
    axis = shapes.axis_over([s[3:5] for s in SCORES], reference=0.412, scale=100, floor=0, ceiling=1)
    labels = ["low", "moderate", "high", "very high"]
    counts = [[96, 12, 3, 0], [14, 71, 19, 2], [2, 21, 62, 11], [0, 3, 14, 80]]
    rail = [("Datasets", 6), ("Experiments", 14), ("Compare", None), ("Models", 31), ("Lab", None)]
    return {
        "nav": [View(label=n, href="#", current=n == "Experiments", count=c) for n, c in rail],
        "rail_note": ["3 running", "$41.20 of $200 this month"],
        "page_title": "Gallery",
        "axis": axis,
        "models": models(axis),
        "items": items(),
        "labels": labels,
        "confusion_rows": shapes.confusion(labels, labels, counts),
        "lengths": shapes.histogram(
            [3, 40, 160, 310, 420, 380, 240, 120, 60, 22, 9, 3], [str(n * 32) for n in range(13)], over=10
        ),
        "spark": shapes.sparkline([3.1, 2.2, 1.7, 1.2, 0.9, 0.8, 0.6, 0.55, 0.5, 0.42, 0.39]),
        "shares": shapes.stacked([(0.41, "m1"), (0.29, "m2"), (0.2, "m3"), (0.1, "m4")], gap=0.4),
        "ledger_rows": [
            View(
                name=n,
                asked=a,
                sent=s,
                resolved=r or "",
                hidden="" if r else f"not disclosed by {o}",
                source=o,
            )
            for n, a, s, r, o in LEDGER
        ],
        "title": "There is no such run",
        "message": "There is nothing at this address.",
        "hint": "",
        "request_id": "5b1ec07a",
    }


class Gallery(BaseHTTPRequestHandler):
    """Pages by name, static files, and the series of the live chart."""

    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        if path == "/series.json":
            return self.answer(json.dumps(series()).encode(), "application/json")
        if path.startswith("/static/"):
            file = ROOT / path[1:]
            return self.answer(file.read_bytes(), TYPES.get(file.suffix, "text/plain"))
        folders = [ROOT / "templates", Path(__file__).parent / "gallery"]
        environment = Environment(
            loader=FileSystemLoader(folders),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        environment.globals["asset"] = lambda name: f"/static/{name}"
        name = {"sign_in": "sign_in/page"}.get(path[1:], path[1:])
        self.answer(environment.get_template(f"{name}.html").render(**view()).encode(), "text/html")

    def answer(self, body: bytes, media_type: str) -> None:
        self.send_response(200)
        self.send_header("content-type", f"{media_type}; charset=utf-8")
        self.send_header("content-security-policy", CSP)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Keeps the terminal for what the browser complains about."""


def show(folder: Path, only: list[str]) -> list[str]:
    """Pictures of each page of the gallery; returns what the browser complained about."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Gallery)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    base = f"http://127.0.0.1:{server.server_port}/"
    with sync_playwright() as playwright:
        browser = launch(playwright)
        complaints = take_pictures(browser, folder, {name: base + name for name in only or PAGES})
        browser.close()
    server.shutdown()
    return complaints


if __name__ == "__main__":
    for complaint in show(Path(sys.argv[1]), sys.argv[2:]):
        print(complaint)
