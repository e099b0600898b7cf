"""What a run asks and how: its target, its decoding, its prompts, its money. Made anew at each step of predicting."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlmodel import Session

from app.datasets.stored import StoredItem, items_by_number
from app.db import clean, session_scope
from app.format import money
from app.providers._shapes import Decoding, Question, Reply
from app.runs.hosted import Place, place_of
from app.runs.label_probabilities import label_probabilities
from app.runs.ledger import sent_values
from app.runs.prepare import max_new_tokens
from app.runs.prompts import Style, answer_of, label_schema, question, read_chosen
from app.runs.reply_rows import noted
from app.runs.reply_target import Target
from app.storage import run_folder
from app.tables import Dataset, Reservation, Run

MOST_LOGPROBS = 20
# What a service may not take, and by which word its refusal names it; a run then goes on without.
OPTIONAL = {"top_logprobs": "logprob", "schema": "response_format", "seed": "seed"}
BYTES_A_TOKEN = 4


@dataclass(frozen=True)
class Plan:
    """Everything that a step needs. `cap`: micro-dollars that the run may have cost in all; None: no bound."""

    run: Run
    target: Target
    decoding: Decoding
    style: Style
    labels: tuple[str, ...]
    chosen: Mapping[tuple[str, int], list[int]] = field(default_factory=dict)
    cap: int | None = None

    def cost(self, input_tokens: int, output_tokens: int, batch: bool = False) -> int:
        """Micro-dollars of so many tokens; 0 where the price is not known."""
        price = self.target.price
        if price is None:
            return 0
        # Dollars for a million tokens are micro-dollars for one.
        asked, answered = price.asked(self.target.tuned)
        share = price.batch_share if batch else 1.0
        return round((input_tokens * (asked or 0.0) + output_tokens * (answered or 0.0)) * share)

    def most(self, size: int, batch: bool = False) -> int:
        """The most that a question of so many bytes can cost: a token has two bytes at least on average, and the
        answer its full length."""
        return self.cost(size // 2, self.decoding.max_tokens, batch)

    def over(self, microdollars: int) -> str:
        """Why no more may be asked, in words; "" while the reservation is not passed."""
        if self.cap is None or microdollars <= self.cap:
            return ""
        return (
            f"The run's reservation of {money(self.cap)} is reached: another question might pass it. "
            "Answers so far are kept."
        )

    def questions(
        self, session: Session, wanted: Sequence[tuple[str, int]]
    ) -> dict[tuple[str, int], Question]:
        """The questions for these items."""
        dataset = session.get_one(Dataset, self.run.dataset_id)
        shown = {number for key in wanted for number in self.chosen.get(key, ())}
        numbers = sorted(shown | {number for _, number in wanted})
        items: dict[int, StoredItem] = items_by_number(session, dataset, None, numbers)
        return {
            (part, number): question(
                part,
                items[number],
                self.style,
                [items[each] for each in self.chosen.get((part, number), ())],
            )
            for part, number in wanted
        }

    def read(self, reply: Reply) -> dict[str, Any]:
        """What a reply row gets of a reply."""
        answer, before = answer_of(reply.text, self.decoding)
        return {
            "answer": clean(answer),
            "p": label_probabilities(self.labels, reply.text, reply.top_logprobs, before),
            "logprob": reply.logprob,
            "latency_ms": reply.latency_ms,
            "input_tokens": reply.input_tokens,
            "output_tokens": reply.output_tokens,
            "error": None,
        }


def make_plan(run: Run, target: Target) -> Plan:
    """The run's plan. Reads the database; no call leaves."""
    values = sent_values(run.ledger)
    tuned = place_of(run) == Place.HOSTED
    with session_scope(write=False) as session:
        dataset = session.get_one(Dataset, run.dataset_id)
        reservation = session.get(Reservation, run.id)
    labels = tuple(dataset.labels) if dataset.task == "classification" else ()
    style = Style() if tuned else Style.of(values)
    cap = None
    if reservation is not None and reservation.price_known:
        cap = reservation.reserved_microdollars
    return Plan(
        run=run,
        target=target,
        decoding=make_decoding(run, target, {} if tuned else values, max_new_tokens(dataset), labels),
        style=style,
        labels=labels,
        chosen={} if tuned else read_chosen(run_folder(run.id or 0)),
        cap=cap,
    )


def make_decoding(
    run: Run, target: Target, values: Mapping[str, Any], longest: int, labels: Sequence[str]
) -> Decoding:
    """How the answers are drawn: as the ledger says, greedily for a tuned model; without what the service was found
    not to take."""
    without = noted(run, "without") or ()
    logprobs = min(target.chat.top_logprobs, MOST_LOGPROBS) if labels and target.provider.chat else 0
    if values.get("top_logprobs") is not None:
        logprobs = min(int(values["top_logprobs"]), target.chat.top_logprobs)
    constrained = labels and values.get("constrain")
    return Decoding(
        temperature=float(values.get("temperature") or 0.0),
        max_tokens=int(values.get("max_tokens") or longest),
        seed=None if "seed" in without else run.seed,
        top_logprobs=0 if "top_logprobs" in without else logprobs,
        schema=label_schema(labels) if constrained and "schema" not in without else None,
    )


def shown_decoding(decoding: Decoding) -> dict[str, Any]:
    """The decoding as an evaluation keeps it."""
    return {
        "temperature": decoding.temperature,
        "max_new_tokens": decoding.max_tokens,
        "seed": decoding.seed,
        "top_logprobs": decoding.top_logprobs,
        "answers": "one of the labels, by schema" if decoding.schema else "free",
    }


def dropped_by(said: str, decoding: Decoding) -> str:
    """The part of the decoding that a refusal names and the run can do without; "" for none."""
    said = said.lower()
    for name, word in OPTIONAL.items():
        if word in said and getattr(decoding, name) not in (None, 0):
            return name
    return ""
