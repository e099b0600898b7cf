"""Writes a figure as SVG: into a page, with the page's colours, or to a file that stands alone."""

from html import escape

from app.figures._base import COLOURS, Bar, Figure, Line, Mark, Shape, Text
from app.figures._marks import corners

FONTS = "IBM Plex Sans, Helvetica, Arial, sans-serif"
# How far hatching lines lie apart.
HATCH = 3.0


def inline_svg(figure: Figure) -> str:
    """For a page: colours are classes of figures.css. Everything from data is escaped."""
    label = escape(f"{figure.title}. {figure.caption}")
    head = f'<svg class="plot" viewBox="0 0 {_n(figure.width)} {_n(figure.height)}" role="img" aria-label="{label}">'
    return head + "".join(_shape(shape, True) for shape in figure.shapes) + "</svg>"


def standalone_svg(figure: Figure) -> bytes:
    """A file of its own, the same bytes for the same figure."""
    size = f'width="{_n(figure.width)}pt" height="{_n(figure.height)}pt" viewBox="0 0 {_n(figure.width)} {_n(figure.height)}"'
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="{FONTS}">\n'
        f"<title>{escape(figure.title)}</title><desc>{escape(figure.caption)}</desc>\n"
        f'<rect width="100%" height="100%" fill="#ffffff"/>\n'
    )
    return (head + "\n".join(_shape(shape, False) for shape in figure.shapes) + "\n</svg>\n").encode()


def hatch_lines(bar: Bar) -> list[tuple[float, float, float, float]]:
    """Slanted lines (x1, y1, x2, y2) inside a bar."""
    found, across = [], HATCH
    while across < bar.width + bar.height:
        x1, y1 = bar.x + min(across, bar.width), bar.y + max(across - bar.width, 0)
        x2, y2 = bar.x + max(across - bar.height, 0), bar.y + min(across, bar.height)
        found.append((x1, y1, x2, y2))
        across += HATCH
    return found


def _n(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _paint(colour: str, inline: bool, way: str) -> str:
    return f'class="c-{colour}" {way}="currentColor"' if inline else f'{way}="{COLOURS[colour]}"'


def _shape(shape: Shape, inline: bool) -> str:
    if isinstance(shape, Line):
        return _line(shape, inline)
    if isinstance(shape, Bar):
        return _bar(shape, inline)
    return _mark(shape, inline) if isinstance(shape, Mark) else _text(shape, inline)


def _line(line: Line, inline: bool) -> str:
    points = " ".join(f"{_n(x)},{_n(y)}" for x, y in line.points)
    dash = ' stroke-dasharray="2 3"' if line.dash else ""
    paint = _paint(line.colour, inline, "stroke")
    return f'<polyline points="{points}" fill="none" {paint} stroke-width="{_n(line.width)}" stroke-linejoin="round"{dash}/>'


def _titled(name: str, attributes: str, title: str) -> str:
    return (
        f"<{name} {attributes}><title>{escape(title)}</title></{name}>"
        if title
        else f"<{name} {attributes}/>"
    )


def _bar(bar: Bar, inline: bool) -> str:
    place = f'x="{_n(bar.x)}" y="{_n(bar.y)}" width="{_n(bar.width)}" height="{_n(max(bar.height, 0))}"'
    if not bar.hatched:
        opacity = "" if bar.opacity == 1 else f' fill-opacity="{_n(bar.opacity)}"'
        return _titled("rect", f"{place} {_paint(bar.colour, inline, 'fill')}{opacity}", bar.title)
    paint = _paint(bar.colour, inline, "stroke")
    path = "".join(f"M{_n(a)} {_n(b)}L{_n(c)} {_n(d)}" for a, b, c, d in hatch_lines(bar))
    edge = _titled("rect", f'{place} fill="none" pointer-events="all" {paint} stroke-width=".7"', bar.title)
    return edge + f'<path d="{path}" {paint} stroke-width=".7"/>'


def _mark(mark: Mark, inline: bool) -> str:
    found = corners(mark.shape, mark.x, mark.y, mark.size)
    paint = _paint(mark.colour, inline, "fill")
    if found is None:
        place = f'cx="{_n(mark.x)}" cy="{_n(mark.y)}" r="{_n(mark.size / 2)}"'
        return _titled("circle", f"{place} {paint}", mark.title)
    points = " ".join(f"{_n(x)},{_n(y)}" for x, y in found)
    return _titled("polygon", f'points="{points}" {paint}', mark.title)


def _text(text: Text, inline: bool) -> str:
    turned = f' transform="rotate(-90 {_n(text.x)} {_n(text.y)})"' if text.turned else ""
    anchor = "" if text.anchor == "start" else f' text-anchor="{text.anchor}"'
    font = f'font-size="{_n(text.size)}"' + (' font-weight="600"' if text.bold else "")
    place = f'x="{_n(text.x)}" y="{_n(text.y)}"{anchor}{turned}'
    paint, words = _paint(text.colour, inline, "fill"), escape(text.text)
    # A page's style sheet sets every text in a drawing; there the size comes from around it.
    if inline:
        return f"<g {font}><text {place} {paint}>{words}</text></g>"
    return f"<text {place} {font} {paint}>{words}</text>"
