"""When the next call to a service may be made, learned from its headers, its refusals and its silence. Pure: the
caller gives the time. Used by reply_chat.py.

Four bounds hold together. The window: how many calls are under way at once; it grows with answers and halves with
refusals and lost answers (AIMD, as TCP: Jacobson 1988). The allowances: requests and tokens that the headers still
grant, each a bucket that fills again by the time the headers name. The pace: calls a second, learned from refusals
where no header tells it. And the hold: no call at all before a time that the service has named.
"""

import math
from dataclasses import dataclass, field

from app.providers._shapes import Pace

# Calls at once after the first answer, which is waited for alone: it tells the limits and whether the key works.
FIRST_WINDOW = 64
LONGEST_BACKOFF = 60.0
# A pace is believed once refusals were seen for so many seconds.
MEASURED_SECONDS = 5.0
# The learned pace grows by this with each answer until the next refusal.
GROWTH = 1.005


@dataclass(frozen=True)
class Ticket:
    """One call when it was started: when, and all that had been started until then, itself included."""

    at: float
    requests: float
    tokens: float
    cost: float


@dataclass
class Allowance:
    """One limit of the headers, requests or tokens. `most` is the largest count that was ever told."""

    credit: float = math.inf
    most: float = 0.0
    rate: float = 0.0
    at: float = 0.0
    closed_until: float = 0.0

    def told(
        self, left: int, reset: float | None, cost: float, age: float, used_since: float, now: float
    ) -> None:
        """What an answer said: `left` until the count is full again in `reset` seconds. The call that it answers
        was started `age` seconds ago and cost `cost`; `used_since` was started after it."""
        self.most = max(self.most, left + cost)
        if reset and self.most > left:
            rate = (self.most - left) / reset
            self.rate = rate if not self.rate else 0.7 * self.rate + 0.3 * rate
        self.credit = min(left + self.rate * age - used_since, self.most)
        self.at = now
        if left <= 0 and reset:
            self.closed_until = max(self.closed_until, now + reset)
            self.credit, self.at = self.most, self.closed_until

    def use(self, cost: float, now: float) -> None:
        """A call is started."""
        self.credit, self.at = self._now(now) - cost, max(now, self.at)

    def wait(self, cost: float, now: float) -> float:
        """Seconds until a call may start; infinite where only an answer can tell."""
        if math.isinf(self.credit):
            return 0.0
        if now < self.closed_until:
            return self.closed_until - now
        # A little is left over, so that the count never comes to nothing, which would close the service.
        spare = min(2.0, self.most // 4) if cost == 1 else self.most * 0.02
        lacking = min(cost + spare, self.most) - self._now(now)
        if lacking <= 1e-9:
            return 0.0
        return lacking / self.rate if self.rate else math.inf

    def _now(self, now: float) -> float:
        return min(self.credit + self.rate * max(now - self.at, 0.0), max(self.most, self.credit))


@dataclass
class Learned:
    """Calls a second that a service takes which names no limit but refuses what is too much. After a hold what has
    gathered meanwhile is sent at once, as a bucket would allow, or less where that was refused."""

    rate: float = math.inf
    credit: float = 1.0
    at: float = 0.0
    since: float = 0.0
    answers: int = 0
    share: float = 1.0
    resumed_at: float = -math.inf

    def refused(self, now: float, hold: float) -> None:
        """The first refusal of a round: the pace becomes what was really answered since the last one."""
        if now - self.resumed_at < 0.5:
            self.share /= 2
        seconds = now - self.since
        if seconds >= MEASURED_SECONDS and self.answers:
            measured = self.answers / seconds
            self.rate = measured if math.isinf(self.rate) else min(self.rate, max(measured, 0.7 * self.rate))
            self.since, self.answers = now, 0
        self.resumed_at = now + hold
        self.at = self.resumed_at
        self.credit = 1.0 if math.isinf(self.rate) else max(1.0, self.rate * hold * self.share)

    def answered(self) -> None:
        """An answer came."""
        self.answers += 1
        self.rate *= GROWTH

    def use(self, now: float) -> None:
        """A call is started."""
        if not math.isinf(self.rate):
            self.credit, self.at = self._now(now) - 1, max(now, self.at)

    def wait(self, now: float) -> float:
        """Seconds until a call may start."""
        if math.isinf(self.rate):
            return 0.0
        lacking = 1.0 - self._now(now)
        return lacking / self.rate if lacking > 1e-9 else 0.0

    def _now(self, now: float) -> float:
        gained = self.credit + self.rate * max(now - self.at, 0.0)
        return min(gained, max(1.0, self.credit))


@dataclass
class Gate:
    """All bounds on one service as one account. `most`: the most calls at once."""

    most: int
    window: float = 1.0
    under_way: int = 0
    hold_until: float = 0.0
    requests: Allowance = field(default_factory=Allowance)
    tokens: Allowance = field(default_factory=Allowance)
    learned: Learned = field(default_factory=Learned)
    started: float = 0.0
    spent: float = 0.0
    # Calls started before this moment belong to a round that was cut already; rounds that failed in a row.
    cut_at: float = -math.inf
    failing: int = 0
    grows_fast: bool = True
    heard: bool = False

    def wait(self, now: float, tokens: float) -> float:
        """Seconds until a call of about `tokens` tokens may start: 0 now, infinite: an answer must come first."""
        if now < self.hold_until:
            return self.hold_until - now
        if self.under_way >= max(int(self.window), 1):
            return math.inf
        waits = (
            self.requests.wait(1, now),
            self.tokens.wait(tokens, now),
            self.learned.wait(now),
        )
        longest = max(waits)
        # Nothing is under way that could tell more: try.
        return 0.0 if math.isinf(longest) and not self.under_way else longest

    def start(self, now: float, tokens: float) -> Ticket:
        """A call is started."""
        if not self.started:
            self.learned.since = now
        self.under_way += 1
        self.started += 1
        self.spent += tokens
        self.requests.use(1, now)
        self.tokens.use(tokens, now)
        self.learned.use(now)
        return Ticket(now, self.started, self.spent, tokens)

    def answered(self, ticket: Ticket, now: float, pace: Pace) -> None:
        """An answer came, with what its headers said."""
        self.under_way -= 1
        self.failing = 0
        self.learned.answered()
        if not self.heard:
            self.heard, self.window = True, min(FIRST_WINDOW, self.most)
        elif self.grows_fast:
            self.window = min(self.window + 1, self.most)
        else:
            self.window = min(self.window + 1 / self.window, self.most)
        self._read(ticket, now, pace)

    def refused(self, ticket: Ticket, now: float, wait: float | None) -> None:
        """The service was busy; `wait`: seconds that it asked to be left alone."""
        self.under_way -= 1
        first = self._cut(ticket, now)
        hold = wait if wait is not None else self._backoff()
        self.hold_until = max(self.hold_until, now + hold)
        if first:
            self.learned.refused(now, hold)

    def lost(self, ticket: Ticket, now: float) -> None:
        """No answer, or none that could be read. A second round of them in a row is waited out."""
        self.under_way -= 1
        if self._cut(ticket, now) and self.failing > 1:
            self.hold_until = max(self.hold_until, now + self._backoff())

    def ended(self, ticket: Ticket, now: float) -> None:
        """A clear answer that tells nothing of limits: the question itself was refused."""
        self.under_way -= 1
        self.heard = True
        self.window = max(self.window, 2.0)

    def _cut(self, ticket: Ticket, now: float) -> bool:
        """Halves the window once for all calls that were under way together; says whether it was the first."""
        if ticket.at <= self.cut_at:
            return False
        self.window = max(self.window / 2, 1.0)
        self.cut_at, self.grows_fast = now, False
        self.failing += 1
        return True

    def _backoff(self) -> float:
        return float(min(2.0 ** max(self.failing - 1, 0), LONGEST_BACKOFF))

    def _read(self, ticket: Ticket, now: float, pace: Pace) -> None:
        age = now - ticket.at
        if pace.requests_left is not None:
            used = self.started - ticket.requests
            self.requests.told(pace.requests_left, pace.requests_reset_seconds, 1, age, used, now)
        if pace.tokens_left is not None:
            used = self.spent - ticket.tokens
            self.tokens.told(pace.tokens_left, pace.tokens_reset_seconds, ticket.cost, age, used, now)
