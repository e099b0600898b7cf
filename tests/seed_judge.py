"""Demo content of the judge: an endpoint, judgings of one answer and of pairs, labels by hand. Called by tests/seed.py.

The judge is the emulator, which marks by comparing texts; its endpoint stays as a row after it has ended.
"""

import os
import random
from unittest.mock import patch

from sqlmodel import Session, select

from app.db import session_scope
from app.evaluations.hand_labels import judged_numbers, order, store_label
from app.evaluations.judge_prompts import PAIR, SCALES
from app.evaluations.judge_service import JudgeRequest, start_judging
from app.lab.actor import Actor
from app.settings.endpoints import NewEndpoint, add_endpoint
from app.tables import JudgeMark, Judging, Run, RunState
from tests.emulator.openai_chat import chat_server
from tests.fresh import forget_settings
from workers.endpoints import check
from workers.judgings import advance


def seed_judgings(actor: Actor, experiment_id: int) -> None:
    """Judges the last two finished runs of the experiment."""
    with patch.dict(os.environ, {"TUNEBOOK_ALLOW_PRIVATE_BASE_URLS": "1"}), chat_server() as emulator:
        forget_settings()
        emulator.answer = _Judge().answer
        with session_scope() as session:
            new = NewEndpoint("Emulated judge", emulator.base_url, "judge-32b", "sk-demo", 0.15, 0.6)
            endpoint = add_endpoint(session, actor, new).id or 0
            done = (Run.experiment_id == experiment_id, Run.state == RunState.DONE)
            runs = session.exec(select(Run.id).where(*done).order_by(Run.id.desc())).all()  # type: ignore[union-attr]
        check(endpoint)
        single = JudgeRequest(runs[0] or 0, endpoint, "points", SCALES["points"].prompt, items=80, cap=1)
        pair = JudgeRequest(runs[0] or 0, endpoint, PAIR, SCALES[PAIR].prompt, other_run_id=runs[1], items=40)
        judged = [_judge(actor, request) for request in (single, pair)]
        with session_scope() as session:
            _label(session, actor, session.get_one(Judging, judged[0]))
    forget_settings()


def _judge(actor: Actor, request: JudgeRequest) -> int:
    with session_scope() as session:
        judging_id = start_judging(session, actor, request).id or 0
    advance(judging_id)
    return judging_id


def _label(session: Session, actor: Actor, judging: Judging) -> None:
    """Agrees with the judge nine times in ten."""
    chance = random.Random(3)
    marks = session.exec(select(JudgeMark).where(JudgeMark.judging_id == judging.id))
    judged = {mark.number: mark.value or 0.0 for mark in marks}
    for number in order(judging, judged_numbers(session, judging))[:40]:
        right = (judged[number] >= 0.5) ^ (chance.random() < 0.1)
        store_label(session, actor, judging, number, "1" if right else "2")


class _Judge:
    """Compares texts, errs sometimes, and sometimes forgets to write its mark as asked."""

    def __init__(self) -> None:
        self.chance = random.Random(7)

    def answer(self, prompt: str) -> str:
        """The reply to one prompt."""
        part = {
            name: prompt.partition(f"<{name}>\n")[2].partition(f"\n</{name}>")[0]
            for name in ("reference", "answer", "answer_1", "answer_2")
        }
        if "<answer_1>" in prompt:
            good = [part[name] == part["reference"] for name in ("answer_1", "answer_2")]
            mark = "1" if good[0] and not good[1] else "2" if good[1] and not good[0] else "tie"
            return f"Only the endings differ.\nMARK: {mark if self.chance.random() < 0.9 else '1'}"
        if self.chance.random() < 0.04:
            return "The answer is fine."
        right = (part["answer"] == part["reference"]) ^ (self.chance.random() < 0.08)
        said = (
            "The answer is the reference." if right else "The answer names another ending than the reference."
        )
        return f"{said}\nMARK: {self.chance.choice('89') if right else self.chance.choice('0123')}"
