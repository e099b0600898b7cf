"""A sample's scores, by task."""

import pytest

from app.evaluations.columns import SECONDARY
from app.evaluations.leaderboard import PRIMARY
from app.evaluations.score import score
from app.metrics import for_task
from tests.metrics.samples import classification, emptied, samples


@pytest.mark.parametrize("sample", samples(), ids=lambda sample: sample.task)
def test_every_task_has_its_scores_in_the_order_of_display(sample) -> None:
    found = score(sample)
    assert list(found) == [metric.name for metric in for_task(sample.task) if metric.name in found]
    assert {PRIMARY[sample.task], *SECONDARY[sample.task]} <= set(found)
    assert found[PRIMARY[sample.task]].value is not None


def test_what_does_not_apply_is_left_out() -> None:
    sample = classification()
    bare = score(
        type(sample)(**{**vars(sample), "probabilities": [None] * len(sample.expected), "marks": ()})
    )
    assert set(bare) == {"accuracy", "macro_f1", "per_class", "confusion"}
    assert score(emptied(sample)) == {}
