"""Two models by every metric: which test applies, what it says, and the way of a large pair through the worker."""

import io
import json
from dataclasses import replace

import numpy as np
import pytest
from fastapi.testclient import TestClient
from sqlmodel import Session, col

from app.comparisons import pair_tests as pairs
from app.comparisons.paired import paired_tests
from app.evaluations.leaderboard import leaderboard
from app.lab.actor import Actor, first_actor
from app.metrics import for_task
from app.statistics import mcnemar_exact, paired_difference
from app.tables import Run
from tests.metrics.samples import LABELS, classification, number, words
from tests.pages import region, stranger, upload
from workers.comparisons import compute

API = "/api/v1/comparisons/tests"


def worse(sample, seed: int, share: float = 0.3):
    """The same items with some answers, and their probabilities, moved to a label by chance."""
    random = np.random.default_rng(seed)
    answers, p = list(sample.answers), list(sample.probabilities)
    for i in np.flatnonzero(random.random(len(answers)) < share):
        answers[i] = sample.labels[random.integers(len(sample.labels))]
        p[i] = dict.fromkeys(sample.labels, 1 / len(sample.labels))
    correct = [said == gold for said, gold in zip(answers, sample.expected, strict=True)]
    return replace(sample, answers=answers, probabilities=p, correct=correct, raw=answers)


def test_every_metric_of_a_task_is_compared() -> None:
    pairs_of = {
        "classification": (classification(150), worse(classification(150), 1)),
        "number": (number(80), replace(number(80), answers=number(80, 5).answers)),
        "text": (words("text"), replace(words("text"), answers=words("text", seed=4).answers)),
        "list": (words("list"), replace(words("list"), answers=words("list", seed=4).answers)),
        "json": (words("json"), replace(words("json"), answers=words("json", seed=4).answers)),
    }
    for task, (a, b) in pairs_of.items():
        found = {test.metric: test for test in paired_tests([a], [b], 500)}
        wanted = [metric for metric in for_task(task) if metric.format != "table"]
        assert list(found) == [metric.name for metric in wanted]
        for metric in wanted:
            test = found[metric.name]
            assert test.value_a == pytest.approx(metric.compute(a).value)
            assert test.value_b == pytest.approx(metric.compute(b).value)
            assert test.difference == pytest.approx(test.value_a - test.value_b)
            assert test.low is None or test.low <= test.difference <= test.high
            assert 0 < test.p <= 1


def test_rates_of_single_runs_get_mcnemar_and_tango() -> None:
    a = classification(200)
    b = worse(a, 2)
    found = paired_tests([a], [b], 200)[0]
    both = sum(x and y for x, y in zip(a.correct, b.correct, strict=True))
    only_a, only_b = sum(a.correct) - both, sum(b.correct) - both
    assert found.p == mcnemar_exact(only_a, only_b)
    wanted = paired_difference(both, only_a, only_b, 200 - both - only_a - only_b)
    assert (found.difference, found.low, found.high) == wanted
    assert "McNemar" in found.method


def test_groups_are_drawn_and_swapped_whole() -> None:
    a = classification(200)
    b = worse(a, 2)
    grouped = [replace(one, groups=[f"g{i // 5}" for i in range(200)]) for one in (a, b)]
    found = paired_tests(grouped[:1], grouped[1:], 500)
    assert all("40 whole groups" in test.method for test in found)


def test_a_model_is_compared_by_the_mean_over_its_seeds() -> None:
    a = classification(200)
    seeds_a, seeds_b = [worse(a, seed, 0.1) for seed in (1, 2)], [worse(a, seed, 0.5) for seed in (3, 4, 5)]
    for test in paired_tests(seeds_a, seeds_b, 500):
        if test.metric in ("accuracy", "macro_f1", "log_loss"):
            metric = next(one for one in for_task("classification") if one.name == test.metric)
            assert test.value_a == pytest.approx(np.mean([metric.compute(one).value for one in seeds_a]))
            assert test.value_b == pytest.approx(np.mean([metric.compute(one).value for one in seeds_b]))
            assert test.p < 0.01
            assert ("Exact permutation" in test.method) == (test.metric == "accuracy")
            assert "2 of A, 3 of B" in test.method
            assert (test.seeds_a["seeds"], test.seeds_b["seeds"]) == (2, 3)
            assert test.seeds_b["low"] < test.value_b < test.seeds_b["high"]
            assert test.seeds_b["sd"] == pytest.approx(
                np.std([metric.compute(one).value for one in seeds_b], ddof=1)
            )


def test_items_that_only_one_side_counts_are_left_out_on_both() -> None:
    a = number(50)
    b = replace(a, answers=[None, "no number", *a.answers[2:]])
    found = {test.metric: test for test in paired_tests([a], [b], 200)}
    assert found["mae"].n == 48
    assert found["mae"].difference == 0
    assert found["mae"].p == 1
    assert found["within_tolerance"].n == 50


def test_a_model_against_itself_is_no_difference() -> None:
    a = classification(60)
    for test in paired_tests([a], [a], 200):
        assert test.difference == 0
        assert test.p == 1


def test_a_judges_later_marks_make_another_key(client: TestClient, runs: list[int], session: Session) -> None:
    address = f"{API}?a={runs[0]}&b={runs[1]}"
    assert "judge_score" not in {test["metric"] for test in client.get(address).json()["tests"]}
    row = leaderboard(session, first_actor(session), [col(Run.id) == runs[0]])[0]
    marks = {"judge_score": replace(row.scores["accuracy"], name="judge_score")}
    assert pairs._key([replace(row, scores={**row.scores, **marks})]).startswith(f"{pairs._key([row])};")


@pytest.fixture
def runs(session: Session, actor: Actor, client: TestClient, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Two imported runs over 30 test items; the second lacks three of them."""
    monkeypatch.setattr("app.queue.send", lambda *_: None)
    lines = []
    for i in range(60):
        messages = [{"role": "user", "content": f"q {i}"}, {"role": "assistant", "content": LABELS[i % 5]}]
        lines.append(json.dumps({"messages": messages, "split": "TEST" if i < 30 else "TRAIN"}))
    dataset = upload(session, actor, "rule.jsonl", "\n".join(lines).encode())
    asked = {"dataset_id": dataset, "name": "e", "models": [{"model": "baseline/majority"}], "seeds": [1]}
    experiment = client.post("/api/v1/experiments", json=asked).json()["id"]
    made = []
    for name, right, count in (("good", 24, 30), ("poor", 9, 27)):
        rows = [{"line": i + 1, "answer": LABELS[i % 5] if i < right else "?"} for i in range(count)]
        answer = client.post(
            f"/api/v1/experiments/{experiment}/predictions",
            files={"file": ("p.jsonl", io.BytesIO("\n".join(map(json.dumps, rows)).encode()))},
            data={"model": name},
        )
        assert answer.status_code == 201, answer.text
        made.append(answer.json()["id"])
    return made


def test_a_small_pair_is_ready_at_once(client: TestClient, runs: list[int]) -> None:
    found = client.get(f"{API}?a={runs[0]}&b={runs[1]}").json()
    assert found["state"] == "ready"
    accuracy = found["tests"][0]
    assert (accuracy["metric"], accuracy["n"]) == ("accuracy", 27)
    assert accuracy["difference"] == pytest.approx(15 / 27)
    assert accuracy["p"] == mcnemar_exact(15, 0)
    page = client.get(f"/compare/tests?a={runs[0]}&b={runs[1]}")
    assert "A ahead" in page.text
    assert "Macro-F1" in page.text
    part = client.get(f"/compare/tests?a={runs[0]}&b={runs[1]}", headers={"hx-request": "true"}).text
    assert region(page.text, "tests") == region(part, "tests")
    whole = client.get(f"/compare?runs={runs[0]},{runs[1]}&a={runs[0]}&b={runs[1]}").text
    assert f"/compare/tests?a={runs[0]}&amp;b={runs[1]}&amp;subset=all" in whole


def test_a_large_pair_is_computed_by_the_worker_once(
    client: TestClient, runs: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pairs, "SMALL", 10)
    address = f"{API}?a={runs[0]}&b={runs[1]}"
    assert client.get(address).json()["state"] == "absent"
    assert 'hx-post="/compare/tests"' in client.get(f"/compare/tests?a={runs[0]}&b={runs[1]}").text
    assert client.post(address).json()["state"] == "computing"
    form = {"a": runs[0], "b": runs[1], "subset": "all"}
    assert "being computed" in client.post("/compare/tests", data=form, headers={"hx-request": "true"}).text
    assert "being computed" in client.post("/compare/tests", data=form).text
    compute(1)
    compute(1)
    found = client.get(address).json()
    assert found["state"] == "ready"
    assert found["tests"][0]["difference"] == pytest.approx(15 / 27)
    assert client.post(address).json() == found


def test_what_cannot_be_paired_is_refused(client: TestClient, runs: list[int], session: Session) -> None:
    a, b = runs
    for query, status in (
        (f"a={a}&b={a}", 422),
        (f"a={a}&b=", 422),
        (f"a={a}&b=99999", 404),
        (f"a={a}&b={b}&subset=some", 422),
        (f"a={a}&b=x", 422),
    ):
        assert client.get(f"{API}?{query}").status_code == status, query
    other = stranger(session)
    session.commit()
    with pytest.raises(pairs.NotFound):
        pairs.pair_tests(session, other, [a], [b])
