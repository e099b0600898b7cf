"""Contrast of the colours in static/css/tokens.css (WCAG 2.2, 1.4.3 and 1.4.11) in light and dark."""

import re
from pathlib import Path

import pytest

TOKENS = (Path(__file__).parents[2] / "static" / "css" / "tokens.css").read_text()
PAIRS = {
    name: pair
    for name, *pair in re.findall(r"--([\w-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\)", TOKENS)
}
GROUNDS = ("paper", "surface", "sunk")


def luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("name", ["ink", "ink-2", "ink-3", "accent", "good", "warn", "bad"])
def test_text_can_be_read(name, scheme):
    grounds = [*GROUNDS, "accent-soft", "good-soft", "warn-soft", "bad-soft"]
    worst = min(contrast(PAIRS[name][scheme], PAIRS[ground][scheme]) for ground in grounds)
    assert worst >= 4.5, f"--{name} has contrast {worst:.2f}"


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_text_on_the_accent_can_be_read(scheme):
    for ground in ("accent", "accent-2"):
        assert contrast(PAIRS["on-accent"][scheme], PAIRS[ground][scheme]) >= 4.5


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("name", [*(f"m{n}" for n in range(1, 9)), "control"])
def test_marks_and_controls_can_be_seen(name, scheme):
    worst = min(contrast(PAIRS[name][scheme], PAIRS[ground][scheme]) for ground in GROUNDS)
    assert worst >= 3, f"--{name} has contrast {worst:.2f}"
