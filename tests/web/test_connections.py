"""No request holds two database connections at once: with a pool of 30 they could wait for each other for good."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from fastapi.testclient import TestClient
from sqlalchemy import event
from sqlalchemy.pool import Pool

from tests.fresh import application
from tests.web.lab_rows import seed_lab
from tests.web.test_rights import ask
from tests.web.test_route_walk import CLOSED

# All pages, some of the forms, and what draws a split, which on SQLite reads by a connection of its own.
PAGES = [(method, path) for method, path in CLOSED if method == "GET" and not path.startswith("/api/")]
FORMS = [(method, path) for method, path in CLOSED if method == "POST" and not path.startswith("/api/")]
WALKED = [*PAGES, *FORMS[::4], *(route for route in CLOSED if "splits" in route[1])]


@contextmanager
def connections() -> Iterator[list[int]]:
    """[held now, most held at once], by all threads of this process."""
    held, lock = [0, 0], threading.Lock()

    def count(more: int) -> None:
        with lock:
            held[0] += more
            held[1] = max(held)

    taken, given = (lambda *_: count(1)), (lambda *_: count(-1))
    event.listen(Pool, "checkout", taken)
    event.listen(Pool, "checkin", given)
    try:
        yield held
    finally:
        event.remove(Pool, "checkout", taken)
        event.remove(Pool, "checkin", given)


def test_no_request_holds_two_connections(shape, request):
    if shape == "laptop":
        # Its pool has no limit.
        return
    session = request.getfixturevalue("session")
    lab, greedy, most = seed_lab(session), [], 0
    with TestClient(
        application(), "http://localhost", follow_redirects=False, raise_server_exceptions=False
    ) as web:
        for method, path in WALKED:
            with connections() as held:
                ask(web, lab, "admin", method, path, lab.mine)
            most = max(most, held[1])
            if held[1] > 1:
                greedy.append(f"{method} {path}: {held[1]}")
    assert not greedy
    assert most == 1
    assert len(WALKED) > 80
