"""Paired tests by every metric as JSON."""

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter

from app.comparisons.pair_tests import PairTests, ask_pair_tests, pair_tests
from app.comparisons.run_ids import parse_runs
from app.web.session import Acting, Database

router = APIRouter()


@router.get("/comparisons/tests")
def get_tests(session: Database, actor: Acting, a: str, b: str, subset: str = "all") -> dict[str, Any]:
    """Runs `a` (`1,2,3`: seeds of one model) against runs `b`, on `all` or `unseen` items. `state` is ready, computing,
    failed, or absent: then POST the same asks for them."""
    return tests_json(pair_tests(session, actor, parse_runs([a]), parse_runs([b]), subset))


@router.post("/comparisons/tests", status_code=202)
def post_tests(session: Database, actor: Acting, a: str, b: str, subset: str = "all") -> dict[str, Any]:
    """Asks for the tests of a large pair; small ones are ready at once."""
    return tests_json(ask_pair_tests(session, actor, parse_runs([a]), parse_runs([b]), subset))


def tests_json(found: PairTests) -> dict[str, Any]:
    """The tests as the API gives them: differences are A minus B, rates in 0..1."""
    return {
        "a": [row.run_id for row in found.a],
        "b": [row.run_id for row in found.b],
        "subset": found.subset,
        "state": found.state,
        "error": found.error or None,
        "hint": found.hint or None,
        "tests": [asdict(test) for test in found.tests],
    }
