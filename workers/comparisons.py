"""The task that computes the paired tests of two models on many items."""

from app.comparisons.pair_tests import compute_pair_tests, fail_pair_tests
from app.queue import TEST_PAIR
from app.tables import PairTest, PairTestState
from workers.celery_app import celery
from workers.task import guarded, lease

STATES = (PairTestState.QUEUED,)
# Tests that die this often (too little memory) are given up.
MOST_ATTEMPTS = 5


@celery.task(name=TEST_PAIR)
def compute(row_id: int) -> None:
    """Safe to run twice at once: the second finds the lease taken. Killed, it begins again from the start."""
    with lease(PairTest, row_id, STATES) as held:
        if held is None:
            return
        row = held.read()

        def fail(message: str, hint: str) -> None:
            fail_pair_tests(row, held.write, message, hint)

        if row.attempt > MOST_ATTEMPTS:
            fail(f"The tests were ended {MOST_ATTEMPTS} times before they were done.", "Memory may be short.")
        else:
            guarded(lambda: compute_pair_tests(row, held.write), fail, "testing a pair")
