"""The pace of calls against simulated services, in simulated time."""

import heapq
import math
from dataclasses import dataclass, field

import pytest

from app.providers._shapes import Pace
from app.runs.pace import Gate, Ticket

LATENCY = 0.2


@dataclass
class Service:
    """Grants `rate` calls a second with a burst; `tells` headers; a refusal names `retry(seconds until free)`."""

    rate: float = math.inf
    burst: float = 10
    tells: bool = True
    window_seconds: float = 0  # > 0: a fixed window of `burst` calls in the place of a bucket
    named: str = "ceil"
    credit: float = field(init=False)
    at: float = 0.0
    refused: int = 0
    early: int = 0
    told: float = 0.0  # no call may be made before this time

    def __post_init__(self) -> None:
        self.credit = self.burst

    def call(self, now: float) -> tuple[bool, float | None, Pace]:
        """(granted, Retry-After, headers) of a call that arrives now."""
        self.early += now < self.told - 1e-9
        if math.isinf(self.rate):
            return True, None, Pace()
        if self.window_seconds:
            if now // self.window_seconds != self.at // self.window_seconds:
                self.credit = self.burst
            reset = self.window_seconds - now % self.window_seconds
        else:
            self.credit = min(self.burst, self.credit + (now - self.at) * self.rate)
        self.at = now
        if self.credit < 1:
            self.refused += 1
            seconds = reset if self.window_seconds else (1 - self.credit) / self.rate
            wait = {"ceil": math.ceil(seconds), "exact": seconds, "nothing": None}[self.named]
            return False, wait, Pace()
        self.credit -= 1
        if not self.window_seconds:
            reset = (self.burst - self.credit) / self.rate
        return True, None, Pace(int(self.credit), reset) if self.tells else Pace()


def simulate(service: Service, items: int, most: int = 64, latency: float = LATENCY) -> float:
    """Seconds until all items are answered."""
    gate, now, waiting = Gate(most), 100.0, items
    under_way: list[tuple[float, int, Ticket, tuple[bool, float | None, Pace]]] = []
    count = 0
    service.at = now
    while waiting or under_way:
        while waiting and gate.wait(now, 50) <= 0:
            ticket = gate.start(now, 50)
            waiting, count = waiting - 1, count + 1
            heapq.heappush(under_way, (now + latency, count, ticket, service.call(now)))
        wait = gate.wait(now, 50) if waiting else math.inf
        if under_way and under_way[0][0] <= now + wait:
            now, _, ticket, (granted, told, pace) = heapq.heappop(under_way)
            if granted:
                gate.answered(ticket, now, pace)
            else:
                waiting += 1
                gate.refused(ticket, now, told)
                service.told = max(service.told, now + (told or 0))
        else:
            assert wait < math.inf
            now += wait
    return now - 100.0


@pytest.mark.parametrize(
    ("service", "most_refused"),
    [
        (Service(10), 0),
        (Service(10, tells=False), 150),
        (Service(10, tells=False, named="exact"), 250),
        (Service(10, tells=False, named="nothing"), 150),
    ],
    ids=["headers", "whole Retry-After", "exact Retry-After", "bare 429"],
)
def test_thousand_items_at_ten_a_second_take_little_more_than_the_limit_sets(
    service: Service, most_refused: int
) -> None:
    seconds = simulate(service, 1000)
    assert 98 <= seconds <= 1.15 * 99
    assert service.refused <= most_refused
    assert service.early == 0


def test_no_limit_soon_fills_the_window() -> None:
    assert simulate(Service(), 1000) <= 1.2 * LATENCY * 1000 / 64


@pytest.mark.parametrize("tells", [True, False])
def test_fixed_windows_are_waited_out(tells: bool) -> None:
    service = Service(1, burst=60, window_seconds=10, tells=tells)
    seconds = simulate(service, 600)
    assert seconds <= 110
    assert service.early == 0
    assert service.refused <= (10 if tells else 200)


@pytest.mark.parametrize("burst", [3, 20, 100])
@pytest.mark.parametrize("tells", [True, False])
def test_other_bursts(burst: int, tells: bool) -> None:
    service = Service(10, burst=burst, tells=tells, named="exact")
    assert simulate(service, 500) <= 1.35 * (500 - burst) / 10
    assert service.early == 0
