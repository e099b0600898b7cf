"""Writes a figure as PDF with its font inside: the same bytes for the same figure, no dates."""

import logging
from datetime import UTC, datetime
from typing import Any

from app.assets import STATIC
from app.figures._base import COLOURS, Bar, Figure, Line, Mark, Shape, Text
from app.figures._marks import corners
from app.figures._svg import hatch_lines

FONTS = {"": "ibm-plex-sans-1.1.0-complete-400.woff", "B": "ibm-plex-sans-1.1.0-complete-600.woff"}
NO_DATE = datetime(2000, 1, 1, tzinfo=UTC)


def pdf_bytes(figure: Figure) -> bytes:
    """One page of the figure's size, vectors and text."""
    from fpdf import FPDF

    # What the font lacks is drawn as an empty box; one line a letter in the log helps nobody.
    logging.getLogger("fpdf").setLevel(logging.ERROR)
    pdf = FPDF(unit="pt", format=(figure.width, figure.height))
    pdf.set_creation_date(NO_DATE)
    pdf.set_title(figure.title)
    pdf.set_auto_page_break(False)
    for style, name in FONTS.items():
        pdf.add_font("Plex", style, STATIC / "vendor" / "fonts" / name)
    pdf.add_page()
    for shape in figure.shapes:
        _draw(pdf, shape)
    return bytes(pdf.output())


def _colour(name: str) -> tuple[int, int, int]:
    code = COLOURS[name]
    return int(code[1:3], 16), int(code[3:5], 16), int(code[5:7], 16)


def _draw(pdf: Any, shape: Shape) -> None:
    if isinstance(shape, Line):
        _line(pdf, shape)
    elif isinstance(shape, Bar):
        _bar(pdf, shape)
    elif isinstance(shape, Mark):
        _mark(pdf, shape)
    else:
        _text(pdf, shape)


def _line(pdf: Any, line: Line) -> None:
    pdf.set_draw_color(*_colour(line.colour))
    pdf.set_line_width(line.width)
    if line.dash:
        pdf.set_dash_pattern(2, 3)
    pdf.polyline(list(line.points))
    pdf.set_dash_pattern()


def _bar(pdf: Any, bar: Bar) -> None:
    if bar.height <= 0 or bar.width <= 0:
        return
    if bar.hatched:
        pdf.set_draw_color(*_colour(bar.colour))
        pdf.set_line_width(0.7)
        pdf.rect(bar.x, bar.y, bar.width, bar.height)
        for ends in hatch_lines(bar):
            pdf.line(*ends)
        return
    # A tint on white instead of transparency, which many journals' checks refuse.
    tint = tuple(round(255 - (255 - part) * bar.opacity) for part in _colour(bar.colour))
    pdf.set_fill_color(*tint)
    pdf.rect(bar.x, bar.y, bar.width, bar.height, style="F")


def _mark(pdf: Any, mark: Mark) -> None:
    pdf.set_fill_color(*_colour(mark.colour))
    found = corners(mark.shape, mark.x, mark.y, mark.size)
    if found is None:
        pdf.ellipse(mark.x - mark.size / 2, mark.y - mark.size / 2, mark.size, mark.size, style="F")
    else:
        pdf.polygon(list(found), style="F")


def _text(pdf: Any, text: Text) -> None:
    pdf.set_font("Plex", "B" if text.bold else "", text.size)
    pdf.set_text_color(*_colour(text.colour))
    wide = pdf.get_string_width(text.text)
    x = text.x - {"start": 0.0, "middle": wide / 2, "end": wide}[text.anchor]
    if text.turned:
        with pdf.rotation(90, text.x, text.y):
            pdf.text(x, text.y, text.text)
    else:
        pdf.text(x, text.y, text.text)
