"""What a run has cost, and when that is not known."""

import pytest

from app.runs.hosted_cost import known_cost
from app.tables import Run


@pytest.mark.parametrize(
    ("estimate", "cost", "known"),
    [
        ({"microdollars": 0}, 0, 0),  # runs here
        ({"microdollars": 4_000_000}, 3_717_178, 3_717_178),
        ({"microdollars": 4_000_000}, 0, 0),  # refused before it cost anything
        ({"microdollars": None}, 0, None),  # no price, no bill
        ({"microdollars": None}, 250_000, 250_000),  # no price, but a bill
        ({}, 0, 0),  # imported
    ],
)
def test_a_cost_that_nobody_told_is_not_nothing(estimate, cost, known):
    assert known_cost(Run(estimate=estimate, cost_microdollars=cost, launch_key="k")) == known
