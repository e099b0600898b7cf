"""The panel of paired tests by every metric, a fragment of the compare page that comes after it."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response

from app.comparisons.pair_tests import PairTests, ask_pair_tests, pair_tests
from app.comparisons.run_ids import parse_runs
from app.comparisons.sentence import SIGNIFICANT, p_text
from app.comparisons.sides import side_name
from app.evaluations.columns import written
from app.web.forms import Posted
from app.web.pages import fragment, is_htmx, page, see
from app.web.session import Acting, Database

router = APIRouter()


@router.get("/compare/tests")
def show_tests(
    request: Request, session: Database, actor: Acting, a: str, b: str, subset: str = "all"
) -> HTMLResponse:
    """The tests of runs `a` (`1,2,3`: seeds of one model) against runs `b`; it asks again while they are computed."""
    found = pair_tests(session, actor, parse_runs([a]), parse_runs([b]), subset)
    if is_htmx(request):
        return fragment("comparisons/_tests.html", **_view(found))
    return page(request, "comparisons/tests.html", "Paired tests", **_view(found))


@router.post("/compare/tests")
def ask_tests(request: Request, session: Database, actor: Acting, form: Posted) -> Response:
    """Queues the tests of a large pair."""
    a, b, subset = (str(form.get(name) or "") for name in ("a", "b", "subset"))
    found = ask_pair_tests(session, actor, parse_runs([a]), parse_runs([b]), subset or "all")
    view = _view(found)
    return fragment("comparisons/_tests.html", **view) if is_htmx(request) else see(view["address"])


def _view(found: PairTests) -> dict[str, Any]:
    a, b = (",".join(str(row.run_id) for row in side) for side in (found.a, found.b))
    return {
        "found": found,
        "a": a,
        "b": b,
        "names": [side_name(side) for side in (found.a, found.b)],
        "address": f"/compare/tests?a={a}&b={b}&subset={found.subset}",
        "back": f"/compare?runs={a},{b}&a={found.a[0].run_id}&b={found.b[0].run_id}",
        "lines": _lines(found),
        "seeds": _seeds(found),
    }


def _lines(found: PairTests) -> list[dict[str, str]]:
    """Differences as text, rates in points; `verdict` never says more than test and interval allow."""
    lines = []
    for test in found.tests:
        value, low, high = (
            _signed(written(one, test.format)) if one is not None else ""
            for one in (test.difference, test.low, test.high)
        )
        lines.append(
            {
                "label": test.label,
                "unit": "points" if test.format == "percent" else "",
                "a": written(test.value_a, test.format),
                "b": written(test.value_b, test.format),
                "difference": value,
                "low": low,
                "high": high,
                "p": p_text(test.p),
                "verdict": _verdict(test.p, test.low, test.high, test.direction, test.difference),
                "smallest": "" if test.smallest is None else written(test.smallest, test.format),
                "method": test.method,
            }
        )
    return lines


def _seeds(found: PairTests) -> list[str]:
    """What seeds and what items have to do with the first metric, apart."""
    said = []
    for test in found.tests[:1]:
        unit = " points" if test.format == "percent" else ""
        for side, made in (("A", test.seeds_a), ("B", test.seeds_b)):
            if made is None:
                continue
            mean, low, high, sd, least, most = (
                "–" if made[key] is None else written(made[key], test.format)
                for key in ("mean", "low", "high", "sd", "least", "most")
            )
            said.append(
                f"{side} over {made['seeds']} seeds: {test.label.lower()} {mean} ({low} to {high} for other items); "
                f"from seed to seed {least} to {most}, standard deviation {sd}{unit}."
            )
    return said


def _signed(text: str) -> str:
    return text.replace("-", "−")


def _verdict(p: float, low: float | None, high: float | None, direction: str, difference: float) -> str:
    if p >= SIGNIFICANT or low is None or high is None or low <= 0 <= high:
        return "within noise"
    if direction == "none":
        return "differ"
    return "A ahead" if (difference > 0) == (direction == "higher") else "B ahead"
