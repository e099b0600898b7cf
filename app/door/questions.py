"""Questions put to several models side by side: what the Try page offers, and one question kept with its answers. Used by
try_routes.py; try_answer.py asks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlmodel import Session, col, select

from app.catalog.models import model_label
from app.datasets.stored import StoredItem, items_by_number
from app.db import clean
from app.door.ids import find_public, new_id
from app.door.target import Target
from app.door.targets import RUN, list_targets
from app.errors import Conflict, Invalid, NotFound
from app.lab.actor import Actor, find, owned, require_member
from app.tables import AskedQuestion, Dataset, DatasetState, Experiment, Run, Split

MOST_MODELS = 8
MOST_OFFERED = 40
LONGEST_TEXT = 200_000


@dataclass(frozen=True)
class QuestionForm:
    """What is asked: `item` is (dataset id, number) of the item it was taken from. `models` are names at the door."""

    models: tuple[str, ...] = ()
    system: str = ""
    text: str = ""
    temperature: float = 0.0
    item: tuple[int, int] | None = None


@dataclass(frozen=True)
class Offered:
    """One model to tick: its name at the door, what it is, and where it stands."""

    name: str
    label: str
    note: str = ""


@dataclass(frozen=True)
class TryView:
    """What the Try page shows. `turns` are the turns of an item that cannot be edited in two fields; `expected` is the
    item's answer, "" where none was picked."""

    form: QuestionForm
    runs: list[Offered]
    others: list[Offered]
    datasets: list[tuple[int, str]]
    expected: str = ""
    item_id: str = ""
    turns: Sequence[Mapping[str, Any]] = ()
    recent: Sequence[tuple[str, str, datetime]] = ()


def try_view(session: Session, actor: Actor, form: QuestionForm) -> TryView:
    """The page, with the item's texts in the form where one was picked."""
    item: StoredItem | None = None
    turns: Sequence[Mapping[str, Any]] = ()
    if form.item is not None:
        item = picked_item(session, actor, *form.item)
        simple = as_two_texts(item.prompt)
        system, text = simple or ("", "")
        turns = () if simple else tuple(item.prompt)
        form = QuestionForm(form.models, system, form.text or text, form.temperature, form.item)
    runs, others = _offered(session, actor, form.models)
    ready = owned(actor, Dataset).where(Dataset.state == DatasetState.READY).order_by(col(Dataset.id).desc())
    asked = owned(actor, AskedQuestion).order_by(col(AskedQuestion.id).desc()).limit(8)
    return TryView(
        form=form,
        runs=runs,
        others=others,
        datasets=[(row.id, row.name) for row in session.exec(ready.limit(50))],
        expected=item.answer if item else "",
        item_id=item.item_id if item else "",
        turns=turns,
        recent=[(row.public_id, last_text(row.messages), row.created_at) for row in session.exec(asked)],
    )


def as_two_texts(messages: Sequence[Mapping[str, Any]]) -> tuple[str, str] | None:
    """(system, user) of a prompt that is no more than that, else None."""
    roles = [message["role"] for message in messages]
    texts = [message.get("content") for message in messages]
    if not all(isinstance(text, str) for text in texts) or roles not in (["user"], ["system", "user"]):
        return None
    return (str(texts[0]), str(texts[1])) if len(roles) == 2 else ("", str(texts[0]))


def last_text(messages: Sequence[Mapping[str, Any]]) -> str:
    """What was asked last."""
    return next((str(row.get("content") or "") for row in reversed(messages) if row["role"] == "user"), "")


def _offered(session: Session, actor: Actor, wanted: Sequence[str]) -> tuple[list[Offered], list[Offered]]:
    """(runs, models that need no training): the newest, and those that are wanted."""
    targets = list_targets(session, actor)
    known = {each.asked for each in targets}
    runs = [each for each in targets if each.run_id]
    others = [each for each in targets if not each.run_id]
    names = _run_names(session, actor, [each.run_id or 0 for each in _some(runs, wanted)])
    strangers = [Offered(name, name) for name in wanted if name not in known]
    return (
        [Offered(each.asked, *names.get(each.run_id or 0, (each.asked, ""))) for each in _some(runs, wanted)],
        [*strangers, *(Offered(each.asked, each.asked) for each in _some(others, wanted))],
    )


def _some(targets: list[Target], wanted: Sequence[str]) -> list[Target]:
    first = [each for each in targets if each.asked in wanted]
    return first + [each for each in targets[:MOST_OFFERED] if each.asked not in wanted]


def _run_names(session: Session, actor: Actor, run_ids: Sequence[int]) -> dict[int, tuple[str, str]]:
    """{run: (model, experiment)} as people read them."""
    rows = session.exec(
        select(Run.id, Run.model, Run.seed, Experiment.name)
        .join(Experiment, col(Experiment.id) == Run.experiment_id)
        .where(Run.project_id == actor.project_id, col(Run.id).in_(run_ids))
    )
    return {
        key or 0: (f"{model_label(model)}{'' if seed is None else f', seed {seed}'}", experiment)
        for key, model, seed, experiment in rows
    }


def picked_item(session: Session, actor: Actor, dataset_id: int, number: int) -> StoredItem:
    """An item of a dataset of the project; raises NotFound."""
    dataset: Dataset = find(session, actor, Dataset, dataset_id)
    found = items_by_number(session, dataset, None, [number]).get(number)
    if found is None:
        raise NotFound(f"The dataset {dataset.name} has no item {number}.", "Pick one on the Try page.")
    return found


def random_test_item(session: Session, actor: Actor, dataset_id: int, choose: Any) -> int:
    """The number of some test item; `choose` picks from a list (random.choice). Raises Conflict where there is none."""
    dataset: Dataset = find(session, actor, Dataset, dataset_id)
    split = session.exec(select(Split).where(Split.dataset_id == dataset_id).order_by(col(Split.id))).first()
    numbers = [number for number, part in enumerate(split.parts) if part == 2] if split else []
    if not numbers:
        raise Conflict(f"{dataset.name} has no test items.", "Pick another dataset.")
    return int(choose(numbers))


def ask_question(session: Session, actor: Actor, form: QuestionForm) -> AskedQuestion:
    """Keeps a question, whose answers are asked for one by one. Raises Invalid with the field."""
    require_member(actor, "ask models")
    wrong = {}
    if not form.models:
        wrong["models"] = "Tick at least one model."
    if len(form.models) > MOST_MODELS:
        wrong["models"] = f"At most {MOST_MODELS} models answer side by side."
    if not 0 <= form.temperature <= 2:
        wrong["temperature"] = "Give a number from 0 to 2."
    messages, item = _messages(session, actor, form)
    if not last_text(messages).strip():
        wrong["text"] = "Write a question, or pick a test item."
    if sum(len(str(row.get("content"))) for row in messages) > LONGEST_TEXT:
        wrong["text"] = f"At most {LONGEST_TEXT:,} characters."
    if wrong:
        raise Invalid("The question cannot be asked: " + " ".join(wrong.values()), "", wrong)
    row = AskedQuestion(
        project_id=actor.project_id,
        maker_id=actor.member_id,
        public_id=new_id("q"),
        messages=messages,
        dataset_id=item[0] if item else None,
        item_number=item[1] if item else None,
        decoding={"temperature": form.temperature},
        answers=[{"model": name} for name in form.models],
    )
    session.add(row)
    session.flush()
    return row


def _messages(
    session: Session, actor: Actor, form: QuestionForm
) -> tuple[list[dict[str, Any]], tuple[int, int] | None]:
    """The messages, and the item they still are: a text that was changed is no longer the item's."""
    text = (clean(form.text) or "").replace("\r\n", "\n")
    system = (clean(form.system) or "").replace("\r\n", "\n")
    typed = [{"role": "system", "content": system}] if system.strip() else []
    typed.append({"role": "user", "content": text})
    if form.item is None:
        return typed, None
    item = picked_item(session, actor, *form.item)
    simple = as_two_texts(item.prompt)
    if simple is None and not text.strip():
        return list(item.prompt), form.item
    same = simple is not None and [part.replace("\r\n", "\n").strip() for part in simple] == [
        system.strip(),
        text.strip(),
    ]
    return (list(item.prompt), form.item) if same else (typed, None)


@dataclass(frozen=True)
class QuestionView:
    """One question with its answers. `answers` are as stored; `expected` is the item's, "" where it is no item."""

    public_id: str
    messages: Sequence[Mapping[str, Any]]
    answers: Sequence[Mapping[str, Any]]
    names: Mapping[str, str]
    temperature: float
    expected: str
    item_id: str
    dataset: tuple[int, str] | None
    item_number: int | None
    at: datetime


def question_view(session: Session, actor: Actor, public_id: str) -> QuestionView:
    """A question of the project by its public id; raises NotFound."""
    row: AskedQuestion = find_public(session, actor, AskedQuestion, public_id, "question")
    item, dataset = None, None
    if row.dataset_id is not None and row.item_number is not None:
        item = picked_item(session, actor, row.dataset_id, row.item_number)
        dataset = (row.dataset_id, session.get_one(Dataset, row.dataset_id).name)
    runs = {each["model"]: int(found[1]) for each in row.answers if (found := RUN.fullmatch(each["model"]))}
    labels = _run_names(session, actor, list(runs.values()))
    return QuestionView(
        public_id=row.public_id,
        messages=row.messages,
        answers=row.answers,
        names={name: labels[run_id][0] for name, run_id in runs.items() if run_id in labels},
        temperature=float(row.decoding.get("temperature") or 0),
        expected=item.answer if item else "",
        item_id=item.item_id if item else "",
        dataset=dataset,
        item_number=row.item_number,
        at=row.created_at,
    )
