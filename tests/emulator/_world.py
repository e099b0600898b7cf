"""The emulator's state: things of each service, the clock, faults, counters. Tests hold it; services change it.

All of it is guarded by one lock: a service's function runs with it held, waiting and sending do not.
"""

import itertools
import secrets
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from typing import Any

# Faults of these kinds answer in the place of the service; the others spoil an answer that it gave.
WITHOUT_EFFECT = ("status", "drop", "hang")
FAULTS = (*WITHOUT_EFFECT, "cut", "slow", "garbage", "html", "empty", "huge", "edit", "late")


@dataclass
class Fault:
    """What the next `times` calls of a route meet (-1: every call), after `skip` good ones.

    `route` is a pattern over "SERVICE METHOD /path", for example "openai POST /v1/files" or "* GET *jobs*". `kind`:
    "status" answers with `status`; "drop" closes the connection; "hang" waits `seconds`, then closes it; "cut"
    sends half of the body; "slow" sends it over `seconds`; "late" answers only after `seconds`; "garbage", "html",
    "empty", "huge" replace the body; "edit" sets fields of the JSON answer (`edit`). `effect`: whether the service
    did what it was asked before.
    """

    route: str
    kind: str
    status: int = 500
    times: int = 1
    skip: int = 0
    effect: bool = False
    seconds: float = 0.0
    message: str = "as the test asked"
    headers: dict[str, str] = field(default_factory=dict)
    edit: dict[str, Any] = field(default_factory=dict)


@dataclass
class Seen:
    """One call that came in; `status` 0: it got no answer."""

    service: str
    method: str
    path: str
    query: str
    body: Any
    at: float
    status: int = 0
    fault: str = ""

    @property
    def route(self) -> str:
        """As faults name it."""
        return f"{self.service} {self.method} {self.path}"


@dataclass
class Made:
    """One thing that costs or could cost money: a job, a batch, a deployment."""

    service: str
    kind: str
    id: str
    launch_key: str
    at: float


@dataclass
class Pace:
    """A limit of calls: `per_second` on average, `burst` at once (a token bucket), and the latency of an answer."""

    per_second: float = 0.0
    burst: int = 1
    latency: float = 0.0
    left: float = 0.0
    looked: float = 0.0

    def take(self, now: float) -> float:
        """0 where a call may pass, else the seconds until one may."""
        if not self.per_second:
            return 0.0
        self.left = min(self.burst, self.left + (now - self.looked) * self.per_second)
        self.looked = now
        if self.left < 1:
            return (1 - self.left) / self.per_second
        self.left -= 1
        return 0.0


@dataclass
class World:
    """Everything. `speed`: how many seconds of a job's life pass in one; 0 holds all jobs."""

    base: str = ""
    speed: float = 60.0
    late_list: float = 0.0  # seconds (real ones) until a new thing stands in its list
    things: dict[tuple[str, str, str], dict[str, dict[str, Any]]] = field(
        default_factory=lambda: defaultdict(dict)
    )
    blobs: dict[str, bytes] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    seen: deque[Seen] = field(default_factory=lambda: deque(maxlen=50_000))
    made: list[Made] = field(default_factory=list)
    microdollars: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    accounts: dict[str, str] = field(default_factory=dict)  # key -> account; any other key: "main"
    refused_keys: set[str] = field(default_factory=set)
    paces: dict[str, Pace] = field(default_factory=lambda: defaultdict(Pace))
    # Of a chat model: prompt -> answer, by the model's name as a pattern; "*" for all.
    replies: dict[str, Callable[[str], str]] = field(default_factory=dict)
    moved: float = 0.0
    active: int = 0
    busiest: int = 0
    lock: Any = field(default_factory=threading.RLock)
    numbers: Any = field(default_factory=lambda: itertools.count(1))
    salt: str = field(default_factory=lambda: secrets.token_hex(3))

    def now(self) -> float:
        """Seconds since 1970, moved by advance()."""
        return time.time() + self.moved

    def advance(self, seconds: float) -> None:
        """Lets real seconds pass at once."""
        self.moved += seconds

    def url(self, service: str, path: str = "") -> str:
        """The address of a service, for example url("openai", "/v1")."""
        return f"{self.base}/{service}{path}"

    def new_id(self, prefix: str = "") -> str:
        """An id that no other thing has."""
        return f"{prefix}{next(self.numbers):06d}{self.salt}"

    def fail(self, route: str, kind: str | int, **more: Any) -> Fault:
        """Adds a fault; a number is a status. Spoilt answers have had their effect unless effect=False is said."""
        if isinstance(kind, int):
            kind, more = "status", {"status": kind, **more}
        if kind not in FAULTS:
            raise ValueError(f"no fault {kind!r}; there are {', '.join(FAULTS)}")
        fault = Fault(route, kind, **{"effect": kind not in WITHOUT_EFFECT, **more})
        with self.lock:
            self.faults.append(fault)
        return fault

    def fault_for(self, route: str) -> Fault | None:
        """The fault that this call meets; uses it up."""
        for fault in self.faults:
            if fault.times == 0 or not fnmatchcase(route, fault.route):
                continue
            if fault.skip:
                fault.skip -= 1
                continue
            fault.times -= fault.times > 0
            return fault
        return None

    def count(self, route: str, answered: bool = False) -> int:
        """How many calls fitted the pattern; `answered`: those with a status below 400 alone."""
        with self.lock:
            return sum(
                fnmatchcase(seen.route, route) and (not answered or 0 < seen.status < 400)
                for seen in self.seen
            )

    def count_made(self, service: str = "*", kind: str = "*") -> int:
        """How many jobs (or batches, deployments) were made."""
        return sum(fnmatchcase(made.service, service) and fnmatchcase(made.kind, kind) for made in self.made)

    def duplicates(self) -> dict[str, int]:
        """Launch keys that more than one thing of a kind was made with, and how many; empty is right."""
        numbers: dict[tuple[str, str, str], int] = defaultdict(int)
        for made in self.made:
            if made.launch_key:
                numbers[made.service, made.kind, made.launch_key] += 1
        return {" ".join(key): number for key, number in numbers.items() if number > 1}

    def put_blob(self, content: bytes) -> str:
        """Gives the address of a download: served with ranges, without a key, as presigned URLs are."""
        token = self.new_id("blob")
        self.blobs[token] = content
        return f"{self.base}/_files/{token}"

    def upload_url(self) -> tuple[str, str]:
        """(address, token) for a presigned upload by PUT or POST; the bytes then lie in blobs[token]."""
        token = self.new_id("upload")
        return f"{self.base}/_files/{token}", token

    def state(self) -> dict[str, Any]:
        """Counters for a test in another process."""
        with self.lock:
            return {
                "speed": self.speed,
                "calls": len(self.seen),
                "made": [asdict(made) for made in self.made],
                "duplicates": self.duplicates(),
                "microdollars": dict(self.microdollars),
                "faults": [asdict(fault) for fault in self.faults],
                "busiest": self.busiest,
                "things": {" ".join(key): list(found) for key, found in self.things.items() if found},
            }


@dataclass
class Timeline:
    """A job's life: `stages` are (state, seconds) one after another, then `end`. It moves by the clock alone."""

    stages: Sequence[tuple[str, float]]
    end: str
    began: float
    stopped: str = ""

    def elapsed(self, world: World) -> float:
        """Seconds of the job's own life."""
        return max(world.now() - self.began, 0.0) * world.speed

    def state(self, world: World) -> str:
        """Its state now."""
        if self.stopped:
            return self.stopped
        left = self.elapsed(world)
        for state, seconds in self.stages:
            if left < seconds:
                return state
            left -= seconds
        return self.end

    def progress(self, world: World, of: str) -> float:
        """How much of one stage is over, 0..1."""
        left = self.elapsed(world)
        for state, seconds in self.stages:
            if state == of:
                return min(max(left / seconds, 0.0), 1.0) if seconds else 1.0
            left -= seconds
        return 1.0

    def ended(self, world: World) -> bool:
        """Whether nothing more happens."""
        return bool(self.stopped) or self.elapsed(world) >= sum(seconds for _state, seconds in self.stages)

    def stop(self, world: World, state: str) -> bool:
        """Ends it now, for example as "cancelled"; False where it was over already."""
        if self.ended(world):
            return False
        self.stopped = state
        return True
