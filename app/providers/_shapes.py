"""What goes to a provider and what comes back, in Tunebook's words: plain data. Used by providers and app/runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Phase(StrEnum):
    """What a remote job, batch or deployment is doing, in our words. A state that the service has invented since is
    STRANGE: it is shown as it stands and asked about again, never guessed."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    STRANGE = "strange"


ENDED = (Phase.DONE, Phase.FAILED, Phase.CANCELLED)


@dataclass(frozen=True)
class Price:
    """US dollars for a million tokens; None: not known. `source` says where and when it was read."""

    source: str
    train: float | None = None
    input: float | None = None
    output: float | None = None
    batch_share: float = 1.0  # a batch costs this part of the price
    minimum: float = 0.0  # dollars for one training at least
    monthly: float = 0.0  # dollars a month for keeping the model
    hourly: float = 0.0  # dollars an hour while deployed
    # Asking a tuned model, where that costs another price than its base.
    tuned_input: float | None = None
    tuned_output: float | None = None

    def asked(self, tuned: bool) -> tuple[float | None, float | None]:
        """(input, output) of the base model, or of a model tuned on it."""
        if not tuned:
            return self.input, self.output
        return (
            self.input if self.tuned_input is None else self.tuned_input,
            self.output if self.tuned_output is None else self.tuned_output,
        )


@dataclass(frozen=True)
class Offer:
    """One model of the service. `limits` are the service's own bounds, read by its file's hyperparameters()."""

    model: str
    label: str = ""
    size: str = ""
    context_tokens: int | None = None
    can_train: bool = False
    can_chat: bool = True
    # False: it can be trained, but nothing would serve it afterwards.
    can_serve_tuned: bool = True
    price: Price | None = None
    ends_on: str = ""  # ISO date after which it does not answer
    # A model that the account has tuned: what it was tuned on, and when (seconds since 1970).
    base: str = ""
    created_at: float | None = None
    limits: Mapping[str, Any] = field(default_factory=dict)
    raw: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class KeyCheck:
    """What the service said about a key: whose it is, and what it may do, as a sentence."""

    account: str
    note: str = ""


@dataclass(frozen=True)
class Example:
    """One item for training: the prompt's messages and the wanted reply as OpenAI-style dictionaries."""

    messages: Sequence[Mapping[str, Any]]
    reply: Mapping[str, Any]
    tools: Sequence[Mapping[str, Any]] | None = None
    rejected: Mapping[str, Any] | None = None  # DPO: the reply that is not wanted


@dataclass(frozen=True)
class TuningJob:
    """What is to be trained. `hyperparameters` holds every value that is sent, none is left to the service;
    `counts` and `tokens` (an estimate) are per part."""

    launch_key: str
    name: str
    model: str
    method: str  # "sft" or "dpo"
    hyperparameters: Mapping[str, Any]
    seed: int
    counts: Mapping[str, int]
    tokens: Mapping[str, int]
    offer: Offer

    @property
    def has_validation(self) -> bool:
        """Whether a validation file goes along."""
        return self.counts.get("validation", 0) > 0


@dataclass(frozen=True)
class Estimate:
    """What something costs at most, in micro-dollars, None where the price is not known; `basis` says how it was
    computed and from which price."""

    microdollars: int | None
    basis: str


@dataclass(frozen=True)
class RemoteFile:
    """A file that the service has. `ready` False: it still checks it; `error`: it refused it."""

    id: str
    ready: bool = True
    error: str = ""
    raw: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class RemoteJob:
    """A training at the service. `state` is its own word, `phase` ours. `resolved` holds the hyperparameters that
    the service says it uses, by our names; what it does not say is left out."""

    id: str
    state: str
    phase: Phase
    launch_key: str = ""
    model: str = ""  # the tuned model's name once there is one
    message: str = ""
    resolved: Mapping[str, Any] = field(default_factory=dict)
    progress: float | None = None  # 0..1
    seconds_left: float | None = None
    cost_microdollars: int | None = None
    trained_tokens: int | None = None
    created_at: float | None = None  # seconds since 1970: which of several is the oldest
    raw: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Point:
    """One value of a curve; `name` is one of app.runs.outputs.CURVES."""

    name: str
    step: int
    value: float


@dataclass(frozen=True)
class Page:
    """Lines of a log or points of curves after a cursor, and the cursor to go on from ("" at first)."""

    cursor: str
    lines: Sequence[str] = ()
    points: Sequence[Point] = ()


@dataclass(frozen=True)
class Decoding:
    """How an answer is drawn. `top_logprobs` 0: not asked for; `schema`: a JSON schema the answer must fit."""

    temperature: float = 0.0
    max_tokens: int = 256
    seed: int | None = None
    top_logprobs: int = 0
    schema: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Question:
    """One item to answer; `key` names it in a batch."""

    key: str
    messages: Sequence[Mapping[str, Any]]
    tools: Sequence[Mapping[str, Any]] | None = None


@dataclass(frozen=True)
class Pace:
    """What the service's headers say of its limits: how many more requests or tokens now, and seconds until the
    count is full again. None: not said."""

    requests_left: int | None = None
    requests_reset_seconds: float | None = None
    tokens_left: int | None = None
    tokens_reset_seconds: float | None = None


@dataclass(frozen=True)
class Reply:
    """What came back for one question. `top_logprobs` holds for each token of the answer the likeliest tokens with
    their natural log-probabilities, None where the service gives none."""

    text: str
    input_tokens: int | None = None
    output_tokens: int | None = None
    latency_ms: float | None = None
    finish: str = ""
    logprob: float | None = None  # of the whole answer
    top_logprobs: Sequence[Sequence[tuple[str, float]]] | None = None
    pace: Pace = Pace()


@dataclass(frozen=True)
class BatchAnswer:
    """One line of a finished batch: a reply or an error."""

    key: str
    reply: Reply | None = None
    error: str = ""
    retryable: bool = True


@dataclass(frozen=True)
class RemoteBatch:
    """A batch at the service; `done` of `total` questions are answered."""

    id: str
    state: str
    phase: Phase
    launch_key: str = ""
    done: int = 0
    total: int = 0
    message: str = ""
    created_at: float | None = None
    raw: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Deployment:
    """A tuned model that is being served and costs money by the hour. `model` is the name to call it by."""

    id: str
    state: str
    phase: Phase  # RUNNING: it answers; DONE: it is stopped
    model: str = ""
    launch_key: str = ""
    message: str = ""
    dollars_an_hour: float | None = None
    created_at: float | None = None
    raw: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class TunedModel:
    """A fine-tuned model that the account has, whoever made it."""

    model: str
    base: str = ""
    created_at: float | None = None
    ends_on: str = ""
    raw: Mapping[str, Any] = field(default_factory=dict)
