"""How numbers, times and sizes are written for people. Used as template filters and in sentences."""

from collections.abc import Iterable
from datetime import datetime

DASH = "–"


def percent(value: float | None, digits: int = 1) -> str:
    """0.6934 -> "69.3" (the unit stands in the column's head)."""
    return DASH if value is None else f"{100 * value:.{digits}f}"


def number(value: float | None, digits: int = 3) -> str:
    """A real number with `digits` significant digits: 0.8123 -> "0.812"."""
    if value is None:
        return DASH
    text = f"{value:.{digits}g}" if abs(value) < 10**digits else f"{value:,.0f}"
    return text.replace("-", "−") if "e" not in text else text


def count(value: int | None) -> str:
    """1640 -> "1,640"."""
    return DASH if value is None else f"{value:,}"


def short_count(value: float | None) -> str:
    """2_000_000 -> "2.0 M", 512_300 -> "512 k", 950 -> "950"."""
    if value is None:
        return DASH
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.1f} {unit}" if value < 10 * size else f"{value / size:.0f} {unit}"
    return f"{value:.0f}"


def duration(seconds: float | None) -> str:
    """41.2 -> "41 s", 150 -> "2 min 30 s", 5400 -> "1 h 30 min"."""
    if seconds is None:
        return DASH
    if seconds < 10:
        return f"{max(seconds, 0):.1f} s" if seconds < 9.95 else "10 s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 10 and rest:
        return f"{minutes} min {rest} s"
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min" if minutes % 60 else f"{minutes // 60} h"


def about(seconds: float | None) -> str:
    """An estimate, rounded so that it does not look exact: 147 -> "about 2 min"."""
    if seconds is None:
        return DASH
    if seconds < 1.5:
        return "1 s"
    if seconds < 20:
        return f"{round(seconds)} s"
    if seconds < 90:
        return f"about {max(round(seconds / 10) * 10, 10)} s"
    if seconds < 5400:
        return f"about {round(seconds / 60)} min"
    return f"about {seconds / 3600:.1f} h"


def size(bytes_: int | None) -> str:
    """1_248_514 -> "1.2 MB"."""
    if bytes_ is None:
        return DASH
    for unit_size, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if bytes_ >= unit_size:
            return f"{bytes_ / unit_size:.1f} {unit}"
    return f"{bytes_} B"


def money(microdollars: int | None) -> str:
    """4_000_000 -> "$4.00"."""
    return DASH if microdollars is None else f"${microdollars / 1e6:,.2f}"


def moment(value: datetime | None) -> str:
    """A UTC time as "2026-11-24 09:31"."""
    return DASH if value is None else value.strftime("%Y-%m-%d %H:%M")


def short_hash(sha256: str) -> str:
    """The first eight hex digits in two groups: "9f3c 71ae"."""
    return f"{sha256[:4]} {sha256[4:8]}" if sha256 else DASH


def plural(n: int, noun: str, many: str = "") -> str:
    """1 -> "1 run", 7 -> "7 runs"."""
    return f"{n:,} {noun if n == 1 else many or noun + 's'}"


def joined(parts: Iterable[str]) -> str:
    """ "a", "a and b", "a, b and c"; "a, 1; b, 2; and c, 3" where a part has a comma itself."""
    known = list(parts)
    if len(known) > 1 and any(", " in part for part in known):
        return f"{'; '.join(known[:-1])}; and {known[-1]}"
    return f"{', '.join(known[:-1])} and {known[-1]}" if len(known) > 1 else "".join(known)


FILTERS = {
    function.__name__: function
    for function in (
        percent,
        number,
        count,
        short_count,
        duration,
        about,
        size,
        money,
        moment,
        short_hash,
        plural,
    )
}
