"""The worker's side of a judging, against an endpoint that fails in every way."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import update
from sqlmodel import Session, select

from app.clock import now
from app.evaluations import judge_work
from app.evaluations.answers import default_rules
from app.evaluations.judge_service import cancel_judging, resume_judging
from app.evaluations.service import rescore_run
from app.lab.actor import Actor
from app.tables import Dataset, Judging, JudgingState, MarkState, Run, Score, Scoring
from tests.emulator.openai_chat import Emulator, Fault, chat_server
from tests.evaluations.judged import (
    ITEMS,
    KEY,
    add_judge,
    answered_run,
    ask_for,
    judging_of,
    marks_of,
    question_set,
)
from tests.fresh import forget_settings
from workers.judgings import advance

RIGHT = [f"The reference of question {number}, in words of its own." for number in range(ITEMS)]


@pytest.fixture
def emulator(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    monkeypatch.setenv("TUNEBOOK_ALLOW_PRIVATE_BASE_URLS", "1")
    monkeypatch.setattr("workers.judgings.send", lambda *_: None)
    forget_settings()
    with chat_server() as running:
        running.key = KEY
        running.answer = fair
        yield running


def fair(prompt: str) -> str:
    """Right where the answer is the reference; of two the one that is."""
    parts = {
        name: prompt.partition(f"<{name}>\n")[2].partition(f"\n</{name}>")[0]
        for name in ("reference", "answer", "answer_1", "answer_2")
    }
    if "<answer_1>" in prompt:
        good = [parts[name] == parts["reference"] for name in ("answer_1", "answer_2")]
        return f"So.\nMARK: {'tie' if good[0] == good[1] else '1' if good[0] else '2'}"
    return f"So.\nMARK: {'right' if parts['answer'] == parts['reference'] else 'wrong'}"


@pytest.fixture
def dataset(session: Session, actor: Actor, emulator: Emulator) -> Dataset:
    return question_set(session, actor)


@pytest.fixture
def run(session: Session, actor: Actor, dataset: Dataset) -> Run:
    """Nine answers are right, two are wrong, one is missing."""
    return answered_run(session, actor, dataset, "hf/lab/one", [*RIGHT[:9], "no idea", "no idea", None])


def work_until(session: Session, judging_id: int, *states: str, slices: int = 40) -> Judging:
    """Works as the worker would, without waiting for due times."""
    for _ in range(slices):
        session.execute(update(Judging).values(due_at=None))
        session.commit()
        advance(judging_id)
        found = judging_of(judging_id)
        if found.state in (states or (JudgingState.DONE,)):
            return found
    raise AssertionError(f"still {found.state} after {slices} slices")


def test_every_item_is_marked_once(session: Session, actor: Actor, run: Run, emulator: Emulator) -> None:
    number = ask_for(session, actor, run, add_judge(session, actor, emulator))
    found = work_until(session, number)
    marks = marks_of(number)
    assert [mark.value for mark in marks] == [1] * 9 + [0] * 3
    # The missing answer is wrong without asking.
    assert len(emulator.calls) == ITEMS - 1
    assert marks[-1].reply == "not asked: there is no answer to judge"
    assert found.result["value"] == pytest.approx(0.75)
    assert found.result["n"] == ITEMS
    assert "words of its own" in emulator.prompts[0]
    assert emulator.calls[0]["model"] == "judge-1"


def test_score_stands_among_the_runs_metrics_and_survives_other_rules(
    session: Session, actor: Actor, run: Run, emulator: Emulator
) -> None:
    work_until(session, ask_for(session, actor, run, add_judge(session, actor, emulator)))
    (score,) = session.exec(select(Score).where(Score.name == "judge_score")).all()
    assert (score.value, score.n) == (0.75, ITEMS)
    assert score.low < 0.75 < score.high
    newer = rescore_run(session, actor, run.id or 0, default_rules("text"))
    assert session.get(Score, (newer.id, "judge_score", "all")).value == 0.75
    assert len(session.exec(select(Scoring)).all()) == 2


def test_pairs_are_asked_in_both_orders(
    session: Session, actor: Actor, run: Run, dataset: Dataset, emulator: Emulator
) -> None:
    other = answered_run(session, actor, dataset, "hf/lab/two", ["bad"] * 6 + RIGHT[6:])
    number = ask_for(session, actor, run, add_judge(session, actor, emulator), "pair", other_run_id=other.id)
    found = work_until(session, number)
    assert len(emulator.calls) == 2 * (ITEMS - 1)
    assert found.result["marks"] == {"0": 3, "0.5": 3, "1": 6}
    assert found.result["inconsistent"] == 0
    assert not session.exec(select(Score).where(Score.name == "judge_score")).all()


def test_judge_that_likes_the_first_ties_everything(
    session: Session, actor: Actor, run: Run, dataset: Dataset, emulator: Emulator
) -> None:
    emulator.answer = lambda prompt: "MARK: 1"
    other = answered_run(session, actor, dataset, "hf/lab/two", RIGHT)
    number = ask_for(session, actor, run, add_judge(session, actor, emulator), "pair", other_run_id=other.id)
    found = work_until(session, number)
    assert found.result["inconsistent"] == ITEMS - 1
    assert found.result["marks"] == {"0": 1, "0.5": ITEMS - 1}


def test_sample_is_seeded(session: Session, actor: Actor, run: Run, emulator: Emulator) -> None:
    endpoint = add_judge(session, actor, emulator)
    chosen = [
        [mark.number for mark in marks_of(ask_for(session, actor, run, endpoint, items=5, seed=seed))]
        for seed in (1, 1, 2)
    ]
    assert chosen[0] == chosen[1] != chosen[2]
    assert all(len(numbers) == 5 for numbers in chosen)


def test_passing_faults_are_asked_again(session: Session, actor: Actor, run: Run, emulator: Emulator) -> None:
    emulator.faults = [Fault(500), Fault("cut"), Fault("garbage"), Fault("html"), Fault("drop"), Fault(503)]
    number = ask_for(session, actor, run, add_judge(session, actor, emulator))
    found = work_until(session, number)
    assert (found.result["n"], found.result["failed"]) == (ITEMS, 0)
    assert len(emulator.calls) == ITEMS - 1 + 6


def test_busy_endpoint_is_left_alone_as_long_as_it_says(
    session: Session, actor: Actor, run: Run, emulator: Emulator
) -> None:
    emulator.poison = {"question": Fault(429, headers={"retry-after": "30"})}
    number = ask_for(session, actor, run, add_judge(session, actor, emulator))
    advance(number)
    found = judging_of(number)
    assert found.state == JudgingState.WORKING
    assert timedelta(seconds=25) < found.due_at - now() <= timedelta(seconds=30)
    # Nothing new was asked beside what was under way.
    assert len(emulator.calls) <= judge_work.CONCURRENCY
    emulator.poison = {}
    assert work_until(session, number).result["n"] == ITEMS


def test_items_that_never_work_fail_alone_and_can_be_tried_again(
    session: Session, actor: Actor, run: Run, emulator: Emulator
) -> None:
    emulator.poison = {"question 3?": Fault(500, "broken"), "question 4?": Fault(400, "too long")}
    number = ask_for(session, actor, run, add_judge(session, actor, emulator))
    found = work_until(session, number)
    failed = [mark for mark in marks_of(number) if mark.state == MarkState.FAILED]
    assert [(mark.number, mark.attempts) for mark in failed] == [(3, judge_work.MOST_ATTEMPTS), (4, 1)]
    assert "too long" in (failed[1].error or "")
    assert (found.result["n"], found.result["failed"]) == (ITEMS - 2, 2)
    emulator.poison = {}
    calls = len(emulator.calls)
    resume_judging(session, actor, number, None)
    session.commit()
    assert work_until(session, number).result["n"] == ITEMS
    assert len(emulator.calls) == calls + 2


def test_unreadable_replies_are_kept_and_counted(
    session: Session, actor: Actor, run: Run, emulator: Emulator
) -> None:
    emulator.answer = lambda prompt: "I cannot \0 decide." if "question 2?" in prompt else fair(prompt)
    number = ask_for(session, actor, run, add_judge(session, actor, emulator))
    found = work_until(session, number)
    assert (found.result["unreadable"], found.result["n"]) == (1, ITEMS - 1)
    assert "cannot" in (marks_of(number)[2].reply or "")


@pytest.mark.parametrize(
    "fault",
    [Fault(401, f"bad key {KEY}"), Fault(404, "no such model"), Fault(302, headers={"location": "/x"})],
)
def test_endpoint_that_refuses_ends_the_judging_until_it_is_mended(
    session: Session, actor: Actor, run: Run, emulator: Emulator, fault: Fault
) -> None:
    emulator.poison = {"question": fault}
    number = ask_for(session, actor, run, add_judge(session, actor, emulator))
    found = work_until(session, number, JudgingState.FAILED)
    assert "Settings" in found.hint
    assert KEY not in found.error
    assert len(emulator.calls) <= judge_work.CONCURRENCY
    emulator.poison = {}
    resume_judging(session, actor, number, None)
    session.commit()
    assert work_until(session, number).result["n"] == ITEMS


def test_cost_never_passes_the_cap(session: Session, actor: Actor, run: Run, emulator: Emulator) -> None:
    endpoint = add_judge(session, actor, emulator, prices=10)
    number = ask_for(session, actor, run, endpoint, cap=0.02)
    found = work_until(session, number, JudgingState.FAILED)
    assert "The cap of $0.02 is reached" in found.error
    spent = found.result["microdollars"]
    assert 0 < spent <= 20_000
    assert 0 < found.result["waiting"] < ITEMS
    resume_judging(session, actor, number, 5)
    session.commit()
    found = work_until(session, number)
    expected = sum(10 * (mark.input_tokens + mark.output_tokens) for mark in marks_of(number))
    assert found.result["microdollars"] == expected > spent


def test_cancelled_judging_keeps_its_marks_and_asks_no_more(
    session: Session, actor: Actor, run: Run, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judge_work, "SLICE_SECONDS", 0.05)
    emulator.delay = 0.1
    number = ask_for(session, actor, run, add_judge(session, actor, emulator))
    advance(number)
    cancel_judging(session, actor, number)
    session.commit()
    found = work_until(session, number, JudgingState.CANCELLED)
    assert 0 < found.result["n"] < ITEMS
    calls = len(emulator.calls)
    advance(number)
    assert len(emulator.calls) == calls


def test_slices_are_short_and_calls_go_side_by_side(
    session: Session, actor: Actor, run: Run, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judge_work, "SLICE_SECONDS", 0.25)
    emulator.delay = 0.1
    number = ask_for(session, actor, run, add_judge(session, actor, emulator))
    start = time.monotonic()
    advance(number)
    assert time.monotonic() - start < 3
    assert emulator.busiest == judge_work.CONCURRENCY
    assert judging_of(number).state == JudgingState.WORKING
    assert work_until(session, number).result["n"] == ITEMS


@pytest.mark.laptop
def test_killed_worker_loses_no_mark(
    session: Session, actor: Actor, run: Run, emulator: Emulator, home: Path
) -> None:
    emulator.delay = 0.15
    number = ask_for(session, actor, run, add_judge(session, actor, emulator))
    code = f"import workers.judgings as j; j.send = lambda *a: None; j.advance({number})"
    for _ in range(2):
        worker = subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parents[2])
        before = sum(mark.state == MarkState.MARKED for mark in marks_of(number))
        for _ in range(200):
            marked = sum(mark.state == MarkState.MARKED for mark in marks_of(number))
            if marked > before:
                break
            time.sleep(0.05)
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        session.execute(update(Judging).values(owner=None, lease_until=None))
        session.commit()
    kept = {mark.number: mark.reply for mark in marks_of(number) if mark.state == MarkState.MARKED}
    assert 1 < len(kept) < ITEMS
    found = work_until(session, number)
    marks = marks_of(number)
    assert {mark.number: mark.reply for mark in marks if mark.number in kept} == kept
    assert (found.result["n"], found.result["value"]) == (ITEMS, 0.75)
    # At most the calls that were under way when it was killed are asked twice.
    assert len(emulator.calls) <= ITEMS - 1 + 2 * judge_work.CONCURRENCY


def test_two_workers_never_work_at_once(session: Session, actor: Actor, run: Run, emulator: Emulator) -> None:
    number = ask_for(session, actor, run, add_judge(session, actor, emulator))
    session.execute(update(Judging).values(owner="another", lease_until=now() + timedelta(seconds=60)))
    session.commit()
    advance(number)
    assert emulator.calls == []
