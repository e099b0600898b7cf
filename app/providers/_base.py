"""The contract of a provider: a hosted service that trains or serves models.

Each file (or folder) of this package gives one object named PROVIDER. Everything is plain data and functions: a
provider gets an open Api (app/service_http.py), takes and returns the dataclasses of _shapes.py and never a service's own
JSON, which is kept beside as `raw`. No function repeats a call by itself: whether a paid call may be sent again is
for app/runs to decide.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from app.hyperparameters import Hyperparameter
from app.providers._openai_chat import ChatRequest
from app.providers._shapes import (
    BatchAnswer,
    Decoding,
    Deployment,
    Estimate,
    Example,
    KeyCheck,
    Offer,
    Page,
    Question,
    RemoteBatch,
    RemoteFile,
    RemoteJob,
    Reply,
    TunedModel,
    TuningJob,
)
from app.service_http import Api


class Repeat(StrEnum):
    """Whether a create whose answer was lost may be sent once more, after the last look found nothing."""

    NEVER = "never"
    OWN_ID = "own id"  # we choose the job's id: the service refuses a second one
    FREE_CREATE = "create, then start"  # creating costs nothing; only the start does


@dataclass(frozen=True)
class Field:
    """One thing beside the key that a person enters for the service: an account, a project, an address."""

    name: str
    label: str
    help: str = ""
    required: bool = True


@dataclass(frozen=True, kw_only=True)
class Training:
    """How the service trains. `hyperparameters(offer)` gives every value that is sent, `suggest(offer, facts)` one
    for each on this data (facts: app.catalog.facts.DataFacts as a dict), `problems(job)` sentences on what would be
    refused, `render(example, job)` one line of its file (`part` train or validation).

    `submit` sends the one create call. `submit` raises errors.AlreadyThere where our own id is taken (see find).
    `find` gives every job that carries the launch key, by whatever identity the service offers. `start` is there
    where creating and starting are two calls: `submit` then only creates.
    """

    methods: tuple[str, ...] = ("sft",)
    identity: str  # how the launch key travels, for the docs: "metadata.tunebook", "suffix", "the job's id"
    repeat: Repeat = Repeat.NEVER
    # How late the service's list may be, as far as known: sets nothing, is said to the person who decides.
    list_note: str = ""
    # False: the service lists no jobs, and `find` sees one only by what it left behind when it ended.
    lists_jobs: bool = True
    hyperparameters: Callable[[Offer], tuple[Hyperparameter, ...]]
    suggest: Callable[[Offer, Mapping[str, Any]], dict[str, Any]]
    problems: Callable[[TuningJob], list[str]]
    estimate: Callable[[TuningJob], Estimate]
    render: Callable[[Example, TuningJob], Mapping[str, Any]]
    file_start: bytes = b""  # bytes before the first line (a byte order mark)
    # Sends a file, or finds that it is there already; `look_at_file` asks again until it is ready.
    upload: Callable[[Api, Path, str, TuningJob], RemoteFile]
    look_at_file: Callable[[Api, str], RemoteFile] | None = None
    # The service's own price, when it gives one before training; files maps part to the file's id.
    quote: Callable[[Api, TuningJob, Mapping[str, str]], Estimate] | None = None
    # Raises errors.Refused where the service says that it would not train or serve this; costs nothing.
    check: Callable[[Api, TuningJob, Mapping[str, str]], None] | None = None
    submit: Callable[[Api, TuningJob, Mapping[str, str]], RemoteJob]
    start: Callable[[Api, str], RemoteJob] | None = None
    find: Callable[[Api, str], list[RemoteJob]]
    list_jobs: Callable[[Api], Iterable[RemoteJob]]
    poll: Callable[[Api, str], RemoteJob]
    cancel: Callable[[Api, str], None] | None = None
    logs: Callable[[Api, RemoteJob, str], Page] | None = None
    metrics: Callable[[Api, RemoteJob, str], Page] | None = None
    # Writes the weights into a folder (fsync, then rename: half a file is never there) and gives their paths.
    fetch_weights: Callable[[Api, RemoteJob, Path], Sequence[Path]] | None = None
    # Other files worth keeping (result CSV, tokenised sample), by name.
    fetch_records: Callable[[Api, RemoteJob, Path], Sequence[Path]] | None = None
    list_tuned: Callable[[Api], list[TunedModel]] | None = None


@dataclass(frozen=True, kw_only=True)
class Chat:
    """How the service answers one question. Repeating it is allowed, within the budget."""

    ask: Callable[[Api, str, Question, Decoding], Reply]
    top_logprobs: int = 0  # the most that it gives for each token
    # What `ask` sends, where the service speaks OpenAI's chat: the door adds parameters that Decoding does not have, and
    # passes the answer's stream on.
    request: Callable[[Api, str, Question, Decoding], ChatRequest] | None = None


@dataclass(frozen=True, kw_only=True)
class Batch:
    """How the service answers many at once, later and cheaper. `line` gives one line of the input file;
    `read` the answers of a finished (also failed or expired) batch, in any order. `says_creating`: `submit` calls
    api.creating() right before its create, so that a kill during the upload leaves nothing in doubt."""

    line: Callable[[str, Question, Decoding], Mapping[str, Any]]
    most_lines: int
    most_bytes: int
    repeat: Repeat = Repeat.NEVER
    says_creating: bool = False
    for_base: bool = True
    for_tuned: bool = True
    submit: Callable[[Api, Path, str, Decoding, str], RemoteBatch]  # file, model, decoding, launch key
    find: Callable[[Api, str], list[RemoteBatch]]
    poll: Callable[[Api, str], RemoteBatch]
    cancel: Callable[[Api, str], None] | None = None
    read: Callable[[Api, RemoteBatch, Path], Iterator[BatchAnswer]]


@dataclass(frozen=True, kw_only=True)
class Deploy:
    """How a tuned model is put to serve, where it must be. `stop` is safe to repeat and is called until `poll`
    says DONE or raises errors.Gone."""

    create: Callable[[Api, RemoteJob, str], Deployment]  # the trained job, launch key
    # Anything still to do after `create`, called at every look until the phase is RUNNING (traffic split).
    advance: Callable[[Api, Deployment], Deployment] | None = None
    find: Callable[[Api, str], list[Deployment]]
    poll: Callable[[Api, str], Deployment]
    stop: Callable[[Api, Deployment], None]
    list_running: Callable[[Api], list[Deployment]]
    idle_minutes: int = 30


@dataclass(frozen=True, kw_only=True)
class Provider:
    """One hosted service, whole."""

    name: str
    label: str
    description: str
    base_url: str
    key_help: str  # where a key is made
    docs_url: str
    fields: tuple[Field, ...] = ()
    key_required: bool = True
    ends_on: str = ""  # ISO date
    notice: str = ""  # a wind-down, or a state that must be known before launch; on the tile and on the run
    unverified: bool = False  # off until an admin turns it on
    # What will not be known after training, in words: "optimiser", "LoRA rank".
    undisclosed: tuple[str, ...] = ()
    returns_weights: bool = False
    connect: Callable[..., Api]  # (access, client) -> Api
    check_key: Callable[[Api], KeyCheck]
    list_models: Callable[[Api], list[Offer]]
    # What may be launched before the list was read (no key yet), with the prices that we know.
    offers: tuple[Offer, ...] = ()
    # More about one model, asked for when it is chosen (Together's limits); gives the completed offer.
    look_at_model: Callable[[Api, Offer], Offer] | None = None
    # Any model name may be typed, also one that no list has.
    open_names: bool = True
    training: Training | None = None
    chat: Chat | None = None
    batch: Batch | None = None
    deploy: Deploy | None = None
