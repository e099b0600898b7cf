"""/compare: what the URL chooses, filters that combine, search, whole items, settings; the same over the API."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import update
from sqlmodel import Session, col

from app.db import session_scope
from app.lab.actor import Actor
from app.tables import Run, RunState
from tests.pages import counted_statements, region, stranger, upload

API = "/api/v1"
LABELS = ["acid", "base", "salt"]
ITEMS = 60


@pytest.fixture(autouse=True)
def no_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    """No message leaves."""
    monkeypatch.setattr("app.queue.send", lambda *_: None)


@pytest.fixture
def experiment(session: Session, actor: Actor, client: TestClient) -> int:
    """60 test items of three labels; three of them stand in train word for word."""
    lines = []
    for i in range(2 * ITEMS):
        text = f"sample {i} of Ätzkali" + (" in a very long description of a flask" * (i % 3))
        if i in (0, 2, 4):
            text = f"sample {i + 1} of Ätzkali" + (" in a very long description of a flask" * ((i + 1) % 3))
        messages = [
            {"role": "user", "content": text},
            {"role": "assistant", "content": LABELS[(i if i % 2 or i > 4 else i + 1) // 2 % 3]},
        ]
        lines.append(json.dumps({"messages": messages, "split": "TEST" if i % 2 else "TRAIN"}))
    dataset = upload(session, actor, "rule.jsonl", "\n".join(lines).encode())
    asked = {"dataset_id": dataset, "name": "rule", "models": [{"model": "baseline/majority"}], "seeds": [1]}
    return client.post(f"{API}/experiments", json=asked).json()["id"]


def gold(n: int) -> str:
    """The expected answer of test item n, counted from 0."""
    return LABELS[n % 3]


@pytest.fixture
def runs(client: TestClient, experiment: int) -> list[int]:
    """Three imported runs: right where n % 2, n % 3 and n % 5 leave a rest; the third fails with words to find."""
    rules: list[Callable[[int], bool]] = [lambda n: n % 2 != 0, lambda n: n % 3 != 0, lambda n: n % 5 != 0]
    made = []
    for place, right in enumerate(rules):
        rows = []
        for n in range(ITEMS):
            answer = gold(n) if right(n) else "100% wrong_" if place == 2 else LABELS[(n + 1) % 3]
            p = {f"p({label})": 0.8 if label == answer else 0.1 for label in LABELS}
            rows.append({"line": 2 * n + 2, "answer": answer, **p})
        answer = client.post(
            f"{API}/experiments/{experiment}/predictions",
            files={"file": ("p.jsonl", "\n".join(map(json.dumps, rows)).encode())},
            data={"model": f"model {place}"},
        )
        assert answer.status_code == 201, answer.text
        made.append(answer.json()["id"])
    return made


def ask(client: TestClient, runs: list[int], **more: Any) -> dict[str, Any]:
    """The comparison over the API."""
    query = {"runs": ",".join(map(str, runs)), "a": runs[0], "b": runs[1], **more}
    answer = client.get(f"{API}/comparisons", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def numbers(wanted: Callable[[int], bool]) -> int:
    return sum(wanted(n) for n in range(ITEMS))


def test_filters_combine(client: TestClient, runs: list[int]):
    one, two, three = (lambda n: n % 2 != 0), (lambda n: n % 3 != 0), (lambda n: n % 5 != 0)
    cases: list[tuple[dict[str, Any], Callable[[int], bool]]] = [
        ({}, lambda n: True),
        ({"show": "only_a"}, lambda n: one(n) and not two(n)),
        ({"show": "only_b"}, lambda n: two(n) and not one(n)),
        ({"show": "all_wrong"}, lambda n: not one(n) and not two(n) and not three(n)),
        ({"show": "regression"}, lambda n: two(n) and not (one(n) and three(n))),
        ({"show": "disagree"}, lambda n: not (one(n) and two(n) and three(n))),
        ({"show": "only_a", "label": "salt"}, lambda n: one(n) and not two(n) and gold(n) == "salt"),
        ({"q": "100% wrong_"}, lambda n: not three(n)),
        ({"q": "ätzKALI"}, lambda n: True),
        ({"q": "sample 11 of"}, lambda n: n == 5),
        ({"q": "100% wrong_", "show": "neither"}, lambda n: not (one(n) or two(n) or three(n))),
        ({"leaked": "yes"}, lambda n: n in (0, 1, 2)),
        ({"leaked": "no", "label": "acid"}, lambda n: n > 2 and gold(n) == "acid"),
        ({"q": "no such words"}, lambda n: False),
    ]
    for filters, wanted in cases:
        assert ask(client, runs, **filters)["matching"] == numbers(wanted), filters


def test_length_filters_by_tokens(client: TestClient, runs: list[int]):
    lengths = [ask(client, runs, max_tokens=limit)["matching"] for limit in (1, 15, 1000)]
    assert lengths[0] == 0 < lengths[1] < lengths[2] == ITEMS
    assert ask(client, runs, min_tokens=16)["matching"] == ITEMS - lengths[1]


def test_pages_go_both_ways(client: TestClient, runs: list[int]):
    first = ask(client, runs)
    second = ask(client, runs, after=first["next_after"])
    third = ask(client, runs, after=second["next_after"])
    shown = [item["line"] for page in (first, second, third) for item in page["items"]]
    assert shown == [2 * n + 2 for n in range(ITEMS)]
    assert third["next_after"] is None
    assert ask(client, runs, before=third["previous_before"])["items"] == second["items"]
    assert first["previous_before"] is None


def test_unseen_scores_and_their_switch(client: TestClient, runs: list[int]):
    page = client.get(f"/compare?runs={runs[0]},{runs[1]}").text
    assert f"{ITEMS - 3} not seen in train" in page
    scores = {row["id"]: row for row in ask(client, runs, subset="unseen")["runs"]}
    accuracy = scores[runs[0]]["scores"]["accuracy"]
    assert accuracy["n"] == ITEMS - 3
    assert accuracy["value"] == pytest.approx(numbers(lambda n: n > 2 and n % 2 != 0) / (ITEMS - 3))


def test_unseen_holds_for_the_pair_the_items_and_the_csv(client: TestClient, runs: list[int]):
    one, two = (lambda n: n % 2 != 0), (lambda n: n % 3 != 0)
    found = ask(client, runs, subset="unseen")
    assert (found["shared_items"], found["matching"]) == (ITEMS - 3, ITEMS - 3)
    assert min(item["line"] for item in found["items"]) == 8
    counts = {
        "both": numbers(lambda n: n > 2 and one(n) and two(n)),
        "only_a": numbers(lambda n: n > 2 and one(n) and not two(n)),
        "only_b": numbers(lambda n: n > 2 and two(n) and not one(n)),
        "neither": numbers(lambda n: n > 2 and not one(n) and not two(n)),
    }
    assert {name: found["pair"][name] for name in counts} == counts
    assert {line["items"] for line in found["against"]["lines"]} == {ITEMS - 3}
    for name, count in counts.items():
        assert ask(client, runs, subset="unseen", show=name)["matching"] == count
    assert ask(client, runs, subset="unseen", leaked="yes")["matching"] == 0
    query = f"runs={','.join(map(str, runs))}&subset=unseen"
    page = client.get(f"/compare?{query}").text
    assert f"/compare.csv?{query.replace('&', '&amp;')}" in page
    for path in ("/compare.csv", f"{API}/comparisons.csv"):
        lines = client.get(f"{path}?{query}").text.splitlines()
        assert len(lines) == ITEMS - 3 + 1
    assert client.get(f"/compare.csv?{query}s").status_code == 422


def test_baselines_stay_until_taken_out(client: TestClient, session: Session, runs: list[int]):
    # The imported run stands in for a baseline that has run.
    run = session.get_one(Run, runs[2])
    run.model, run.state = "baseline/nearest", RunState.DONE
    session.commit()
    kept = {row["id"]: row["kept"] for row in ask(client, runs[:2])["runs"]}
    assert kept == {runs[0]: False, runs[1]: False, runs[2]: True}
    assert runs[2] not in {row["id"] for row in ask(client, runs[:2], without=runs[2])["runs"]}
    assert "kept as baseline" in client.get(f"/compare?runs={runs[0]},{runs[1]}").text


def test_a_row_opens_the_whole_item(client: TestClient, runs: list[int]):
    number = ask(client, runs)["items"][4]["number"]
    address = f"/compare/items/{number}?runs={','.join(map(str, runs))}"
    page = client.get(address).text
    assert "sample 9 of" in page
    assert page.count('class="whole"') == 3
    fragment = client.get(address, headers={"hx-request": "true"}).text
    assert fragment.lstrip().startswith(f'<tr class="opened" id="item-{number}"')
    assert client.get(address.replace(f"items/{number}", "items/999999")).status_code == 404


def test_a_filter_gets_its_part_only(client: TestClient, runs: list[int]):
    address = f"/compare?runs={','.join(map(str, runs))}&show=all_wrong"
    headers = {"hx-request": "true", "hx-target": "div#reading"}
    part = client.get(address, headers=headers).text
    assert "<html" not in part
    assert region(part, "reading") == region(client.get(address).text, "reading")
    assert client.get(address.replace("/compare?", "/compare/reading?")).text == part


def test_settings_stand_side_by_side(client: TestClient, runs: list[int]):
    settings = ask(client, runs)["settings"]
    assert [one["name"] for one in settings] == ["Name"]
    assert all(one["differs"] for one in settings)
    everything = ask(client, runs, settings="all")["settings"]
    assert "Split" in [one["name"] for one in everything]


def test_what_one_trainer_alone_tells_of_itself_does_not_hide_what_was_set(
    client: TestClient, runs: list[int]
):
    told = {"asked": None, "sent": None, "resolved": 1, "source": "trainer"}
    ledger = {"epochs": {**told, "sent": 3}} | {f"own_{number}": told for number in range(40)}
    with session_scope() as session:
        session.execute(update(Run).where(col(Run.id) == runs[0]).values(ledger=ledger))
    assert [one["name"] for one in ask(client, runs)["settings"]] == ["Name", "Epochs"]
    everything = ask(client, runs, settings="all")["settings"]
    assert {"Epochs", "Own 7"} < {one["name"] for one in everything}
    assert "40 only one trainer has" in client.get(f"/compare?runs={runs[0]},{runs[1]}").text
    page = client.get(f"/runs/{runs[0]}").text
    assert page.index("Epochs") < page.index("40 values more that the trainer tells of itself")
    assert page.index("40 values more that the trainer tells of itself") < page.index("Own 7")


@pytest.mark.parametrize(
    "query", ["show=nothing", "subset=x", "leaked=perhaps", "min_tokens=-3", "after=x", "a=b", "runs=x"]
)
def test_a_bad_choice_is_explained(client: TestClient, runs: list[int], query: str):
    for path in ("/compare", f"{API}/comparisons"):
        answer = client.get(f"{path}?runs={runs[0]},{runs[1]}&{query}")
        assert answer.status_code == 422, answer.text


def test_queries_do_not_grow_with_runs(client: TestClient, runs: list[int]):
    counts = []
    # The first look at a test set is written down.
    client.get(f"/compare?runs={runs[0]},{runs[1]}")
    for chosen in (runs[:2], runs):
        with counted_statements() as statements:
            client.get(f"/compare?runs={','.join(map(str, chosen))}")
        counts.append(len(statements))
    assert counts[0] == counts[1]


def test_nobody_sees_a_stranger_s_runs(
    client: TestClient, session: Session, runs: list[int], monkeypatch: pytest.MonkeyPatch
):
    other = stranger(session)
    session.commit()
    monkeypatch.setattr("app.web.session.actor_for", lambda *_: other)
    for path in ("/compare", "/compare/plots", "/compare/figures/scores.svg", "/compare/reading"):
        assert client.get(f"{path}?runs={runs[0]},{runs[1]}").status_code == 404
