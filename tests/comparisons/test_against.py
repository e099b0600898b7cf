"""Every model against the baseline: seeds, groups, Holm, and what the sentence may say; as JSON and CSV."""

import csv
import io
import json
from dataclasses import replace

import numpy as np
import pytest
from fastapi.testclient import TestClient
from sqlmodel import Session

from app.comparisons.against import all_against
from app.comparisons.pair import compare_pair
from app.evaluations.leaderboard import LeaderboardRow
from app.evaluations.outcomes import Columns
from app.lab.actor import Actor
from app.statistics import holm, mcnemar_exact
from app.tables import Split
from tests.pages import upload

API = "/api/v1"
ITEMS = 200
PLAIN = LeaderboardRow(
    0, 1, "", "", None, "done", False, 1.0, "", None, "", 1, {}, None, None, 0, None, None, ITEMS
)


def row(run_id: int, model: str, seed: int | None = None) -> LeaderboardRow:
    return replace(PLAIN, run_id=run_id, model=model, label=model, seed=seed, scoring_id=run_id)


def outcome(right: np.ndarray) -> Columns:
    n = len(right)
    return Columns(np.arange(n, dtype=np.int32), right, np.zeros(n, bool), np.zeros(n, np.int64))


def first(right: int, n: int = ITEMS) -> np.ndarray:
    """Right on the first items."""
    return np.arange(n) < right


def split(group_of: list[int] | None = None) -> Split:
    return Split(groups=[f"g{i}" for i in sorted(set(group_of or []))], group_of=group_of or [])


def against(rights: dict[str, np.ndarray], group_of: list[int] | None = None):
    rows = [row(place, name) for place, name in enumerate(rights, 1)]
    columns = {one.run_id: outcome(rights[one.model]) for one in rows}
    return all_against(rows[0], rows, columns, {one.run_id: split(group_of) for one in rows})


def test_each_line_is_its_pair_and_p_is_corrected_for_all() -> None:
    found = against({"base": first(100), "far": first(140), "near": first(106), "back": first(60)})
    assert [line.name for line in found.lines] == ["far", "near", "back"]
    ps = [mcnemar_exact(40, 0), mcnemar_exact(6, 0), mcnemar_exact(0, 40)]
    assert [line.p for line in found.lines] == ps
    assert [line.p_holm for line in found.lines] == holm(ps)
    assert [line.verdict for line in found.lines] == ["ahead", "ahead", "behind"]
    assert found.sentence == (
        "After Holm’s correction for 3 models, far (+20.0 points) and near (+3.0 points) are ahead of base and "
        "back (−20.0 points) is behind base."
    )


def test_what_one_pair_could_claim_several_cannot() -> None:
    alone = against({"base": first(100), "near": first(106)})
    assert alone.lines[0].p_holm == alone.lines[0].p == pytest.approx(0.03125)
    assert alone.sentence == "By the exact test, near (+3.0 points) is ahead of base."
    crowd = against({"base": first(100), "near": first(106), "other": first(103), "third": first(98)})
    assert [line.verdict for line in crowd.lines] == ["within noise"] * 3
    assert crowd.sentence == "After Holm’s correction for 3 models, no model can be told from base."


def test_seeds_are_one_line_and_the_baselines_seeds_none() -> None:
    rows = [row(1, "base", 1), row(2, "base", 2), row(3, "new", 1), row(4, "new", 2)]
    rights = {1: first(100), 2: first(90), 3: first(150), 4: first(130)}
    columns = {run_id: outcome(right) for run_id, right in rights.items()}
    found = all_against(rows[0], rows, columns, dict.fromkeys(rights, split()))
    assert [one.run_id for one in found.baseline] == [1, 2]
    assert found.name == "base, 2 seeds"
    line = found.lines[0]
    assert [one.run_id for one in line.runs] == [3, 4]
    assert (line.rate, line.rate_of_baseline, line.difference) == pytest.approx((0.7, 0.475, 0.225))
    assert line.low < 0.225 < line.high
    assert line.verdict == "ahead"


def test_groups_count_whole_in_the_table_and_in_the_pair() -> None:
    # A is ahead on 24 items: all in 3 of 25 groups.
    group_of = [i // 8 for i in range(ITEMS)]
    rights = {"base": first(104), "new": first(128)}
    alone, whole = against(rights).lines[0], against(rights, group_of).lines[0]
    assert (alone.verdict, whole.verdict) == ("ahead", "within noise")
    assert whole.p == pytest.approx(0.25)
    assert (whole.groups, alone.groups) == (25, 0)
    assert whole.low < 0 < alone.low
    pair = compare_pair(
        row(2, "new"), row(1, "base"), *map(outcome, (first(128), first(104))), split(group_of)
    )
    assert (pair.p, pair.low, pair.high, pair.groups) == (whole.p, whole.low, whole.high, 25)
    assert "cannot be judged: only 3 of 25 groups set them apart" in pair.sentence
    assert pair.sentence.endswith("Items of one group count together: interval and p are over 25 groups.")
    assert (
        pair.smallest
        > compare_pair(pair.a, pair.b, *map(outcome, (first(128), first(104))), split()).smallest
    )


def test_too_few_groups_are_said() -> None:
    sides = [outcome(first(128)), outcome(first(104))]
    pair = compare_pair(row(2, "new"), row(1, "base"), *sides, split([i // 20 for i in range(ITEMS)]))
    assert (pair.groups, pair.few_groups) == (0, 10)
    assert pair.p == mcnemar_exact(24, 0)
    assert "The items come in 10 groups, fewer than the 20 that could count whole" in pair.sentence
    alone = compare_pair(row(2, "new"), row(1, "base"), *sides, split(list(range(ITEMS))))
    assert (alone.groups, alone.few_groups) == (0, 0)


def test_models_that_share_no_items_are_left_out() -> None:
    rows = [row(1, "base"), row(2, "other")]
    columns = {
        1: outcome(first(5, 10)),
        2: replace(outcome(first(5, 10)), numbers=np.arange(10, 20, dtype=np.int32)),
    }
    found = all_against(rows[0], rows, columns, {1: split(), 2: split()})
    assert (found.lines, found.sentence) == ((), "")


@pytest.fixture
def runs(session: Session, actor: Actor, client: TestClient, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Three imported runs over 40 test items: right on the first 30, 20 and 10."""
    monkeypatch.setattr("app.queue.send", lambda *_: None)
    lines = []
    for i in range(60):
        messages = [{"role": "user", "content": f"q {i}"}, {"role": "assistant", "content": "ab"[i % 2]}]
        lines.append(json.dumps({"messages": messages, "split": "TEST" if i < 40 else "TRAIN"}))
    dataset = upload(session, actor, "rule.jsonl", "\n".join(lines).encode())
    asked = {"dataset_id": dataset, "name": "e", "models": [{"model": "baseline/majority"}], "seeds": [1]}
    experiment = client.post(f"{API}/experiments", json=asked).json()["id"]
    made = []
    for name, right in (("good", 30), ("middling", 20), ("poor", 10)):
        rows = [{"line": i + 1, "answer": "ab"[i % 2] if i < right else "?"} for i in range(40)]
        answer = client.post(
            f"{API}/experiments/{experiment}/predictions",
            files={"file": ("p.jsonl", io.BytesIO("\n".join(map(json.dumps, rows)).encode()))},
            data={"model": name},
        )
        assert answer.status_code == 201, answer.text
        made.append(answer.json()["id"])
    return made


def test_page_api_and_csv_say_the_same(client: TestClient, runs: list[int]) -> None:
    query = f"runs={','.join(map(str, runs))}&b={runs[1]}"
    found = client.get(f"{API}/comparisons?{query}").json()["against"]
    assert found["baseline"] == [runs[1]]
    assert [line["runs"] for line in found["lines"]] == [[runs[0]], [runs[2]]]
    assert [line["difference"] for line in found["lines"]] == [0.25, -0.25]
    p = mcnemar_exact(10, 0)
    assert [(line["p"], line["p_holm"]) for line in found["lines"]] == [(p, pytest.approx(2 * p))] * 2
    page = client.get(f"/compare?{query}").text
    assert found["sentence"].split(",")[1].strip() in page
    assert f"/compare/against.csv?{query.replace('&', '&amp;')}" in page
    for path in ("/compare/against.csv", f"{API}/comparisons/against.csv"):
        answer = client.get(f"{path}?{query}")
        rows = list(csv.DictReader(io.StringIO(answer.text)))
        assert [float(one["p_holm"]) for one in rows] == [line["p_holm"] for line in found["lines"]]
        assert [one["model"] for one in rows] == ["good", "poor"]
    assert client.get(f"/compare/against.csv?runs={runs[0]}").status_code == 422
    assert 'id="against"' not in client.get(f"/compare?runs={runs[0]},{runs[1]}").text
