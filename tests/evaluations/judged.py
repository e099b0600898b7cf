"""What the judge's tests share: a dataset of questions, runs with stored answers, an endpoint at the emulator."""

import json
import secrets
from collections.abc import Sequence

from fastapi.testclient import TestClient
from sqlmodel import Session, col, select

from app.db import session_scope
from app.evaluations.answers import default_rules
from app.evaluations.judge_prompts import SCALES
from app.evaluations.judge_service import JudgeRequest, start_judging
from app.evaluations.service import NewPrediction, score_evaluation, store_evaluation
from app.lab.actor import Actor
from app.settings.endpoints import NewEndpoint, add_endpoint
from app.tables import Dataset, Experiment, JudgeMark, Judging, Run, RunState, Split
from tests.emulator.openai_chat import Emulator
from tests.pages import upload

KEY = "sk-judge-secret"
ITEMS = 12


def question_set(session: Session, actor: Actor, items: int = ITEMS) -> Dataset:
    """Questions whose references are short texts; the first half are test items."""
    rows = [
        {
            "messages": [
                {"role": "user", "content": f"What is question {number}?"},
                {"role": "assistant", "content": f"The reference of question {number}, in words of its own."},
            ],
            "split": "TEST" if number < items else "TRAIN",
        }
        for number in range(2 * items)
    ]
    data = "\n".join(map(json.dumps, rows)).encode()
    return session.get_one(Dataset, upload(session, actor, "questions.jsonl", data))


def answered_run(
    session: Session, actor: Actor, dataset: Dataset, model: str, answers: Sequence[str | None]
) -> Run:
    """A finished run that gave these answers to the test items, in their order."""
    split = session.exec(select(Split).where(Split.dataset_id == dataset.id)).one()
    owner = {"project_id": actor.project_id, "maker_id": actor.member_id}
    place = {"dataset_id": dataset.id or 0, "split_id": split.id or 0}
    experiment = session.exec(select(Experiment)).first()
    if experiment is None:
        experiment = Experiment(**owner, **place, name="questions", launch_key=secrets.token_hex(8))
        session.add(experiment)
        session.flush()
    run = Run(
        **owner,
        **place,
        experiment_id=experiment.id or 0,
        model=model,
        state=RunState.DONE,
        launch_key=secrets.token_hex(8),
    )
    session.add(run)
    session.flush()
    numbers = [number for number, part in enumerate(split.parts) if part == 2]
    stored = [NewPrediction(number, answer) for number, answer in zip(numbers, answers, strict=True)]
    evaluation = store_evaluation(session, run, [], stored, {"temperature": 0})
    score_evaluation(session, evaluation, run, default_rules(dataset.task))
    session.commit()
    return run


def add_judge(session: Session, actor: Actor, emulator: Emulator, prices: float | None = None) -> int:
    """An endpoint at the emulator; `prices` in dollars for a million tokens."""
    new = NewEndpoint("judge", emulator.base_url, "judge-1", KEY, prices, prices)
    made = add_endpoint(session, actor, new)
    session.commit()
    return made.id or 0


def ask_for(
    session: Session, actor: Actor, run: Run, endpoint: int, scale: str = "right", **more: object
) -> int:
    """A judging that has only been asked for. Commits."""
    request = JudgeRequest(run.id or 0, endpoint, scale, SCALES[scale].prompt, **more)  # type: ignore[arg-type]
    made = start_judging(session, actor, request)
    session.commit()
    return made.id or 0


def marks_of(judging_id: int) -> list[JudgeMark]:
    """All marks as they are now, in the order of items and sides."""
    with session_scope(write=False) as session:
        rows = select(JudgeMark).where(JudgeMark.judging_id == judging_id)
        return list(session.exec(rows.order_by(col(JudgeMark.number), col(JudgeMark.side))))


def judging_of(judging_id: int) -> Judging:
    """The judging as it is now."""
    with session_scope(write=False) as session:
        return session.get_one(Judging, judging_id)


def other_run(session: Session, actor: Actor, run: int) -> int:
    """A second run on the same items."""
    dataset = session.exec(select(Dataset)).one()
    made = answered_run(
        session, actor, dataset, "hf/lab/second", [f"answer of the second {n}" for n in range(ITEMS)]
    )
    return made.id or 0


def start(client: TestClient, run: int, endpoint: int, **values: object) -> int:
    """A judging asked for over the API: right or wrong unless `values` say otherwise."""
    body = {"endpoint_id": endpoint, "scale": "right", **values}
    answer = client.post(f"/api/v1/runs/{run}/judgings", json=body)
    assert answer.status_code == 201, answer.text
    return int(answer.json()["id"])
