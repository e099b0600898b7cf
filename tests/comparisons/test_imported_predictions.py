"""Predictions made elsewhere, from the file to scores, other rules, and the comparison, over the API."""

import csv
import io
import json

import pytest
from fastapi.testclient import TestClient
from sqlmodel import Session

from app.config import settings
from app.lab.actor import Actor
from app.statistics import mcnemar_exact, paired_difference
from tests.pages import upload

LABELS = ["acid", "base", "salt"]
TEST_ITEMS = 30
API = "/api/v1"


@pytest.fixture(autouse=True)
def no_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    """No message leaves."""
    monkeypatch.setattr("app.queue.send", lambda *_: None)


@pytest.fixture
def experiment(session: Session, actor: Actor, client: TestClient) -> int:
    """An experiment over 90 rows in the chat format, every third a test row."""
    lines = []
    for i in range(3 * TEST_ITEMS):
        answer = LABELS[i // 3 % 3]
        messages = [{"role": "user", "content": f"sample {i}"}, {"role": "assistant", "content": answer}]
        lines.append(json.dumps({"messages": messages, "split": "TEST" if i % 3 == 2 else "TRAIN"}))
    dataset = upload(session, actor, "rule.jsonl", "\n".join(lines).encode())
    asked = {"dataset_id": dataset, "name": "rule", "models": [{"model": "baseline/majority"}], "seeds": [1]}
    made = client.post(f"{API}/experiments", json=asked)
    assert made.status_code == 201, made.text
    return made.json()["id"]


def predictions(right: int, wrong: str = "nothing", spell=str) -> bytes:
    """A CSV by input: the first `right` test items are answered as expected, the others with `wrong`."""
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(["input", "answer", *(f"p({label})" for label in LABELS)])
    for n in range(TEST_ITEMS):
        gold = LABELS[n % 3]
        p = [0.8 if label == gold else 0.1 for label in LABELS]
        writer.writerow([f"sample {3 * n + 2}", spell(gold) if n < right else wrong, *p])
    return file.getvalue().encode()


def imported(client: TestClient, experiment: int, name: str, data: bytes) -> int:
    """The id of the run that the import makes."""
    answer = client.post(
        f"{API}/experiments/{experiment}/predictions", files={"file": ("p.csv", data)}, data={"model": name}
    )
    assert answer.status_code == 201, answer.text
    assert answer.json()["state"] == "done"
    return answer.json()["id"]


def table(client: TestClient, address: str) -> list[dict[str, str]]:
    """A CSV as rows."""
    return list(csv.DictReader(io.StringIO(client.get(address).text, newline="")))


def test_an_import_is_scored(client: TestClient, experiment: int) -> None:
    run = imported(client, experiment, "mine", predictions(24))
    scores = client.get(f"{API}/runs/{run}").json()["scores"]
    assert (scores["accuracy"]["value"], scores["accuracy"]["n"]) == (0.8, 30)
    # Wilson for 24 of 30, by statsmodels 0.14.
    assert (scores["accuracy"]["low"], scores["accuracy"]["high"]) == pytest.approx(
        (0.6269, 0.9050), abs=1e-4
    )
    assert scores["roc_auc"]["value"] == 1
    assert scores["brier"]["value"] == pytest.approx(0.2**2 + 2 * 0.1**2)
    assert scores["confusion"]["detail"]["answered"][-1] == "no label"
    rows = table(client, f"{API}/runs/{run}/predictions.csv")
    assert len(rows) == TEST_ITEMS
    assert [row["correct"] for row in rows].count("true") == 24
    assert rows[0]["p(acid)"] == "0.8"


def test_other_rules_score_the_same_answers_again(client: TestClient, experiment: int) -> None:
    run = imported(client, experiment, "shouting", predictions(24, wrong="Kochsalz", spell=str.upper))
    first = client.get(f"{API}/runs/{run}").json()
    assert first["scores"]["accuracy"]["value"] == 0
    rules = {"ignore_case": True, "aliases": {"kochsalz": "salt"}}
    second = client.post(f"{API}/runs/{run}/rules", json=rules).json()
    assert second["scores"]["accuracy"]["value"] == pytest.approx(26 / 30)
    assert second["scoring_id"] > first["scoring_id"]
    rows = table(client, f"{API}/runs/{run}/predictions.csv")
    assert (rows[0]["answer"], rows[0]["answer_read"]) == ("ACID", "acid")
    refused = client.post(f"{API}/runs/{run}/rules", json={"pattern": "("})
    assert refused.status_code == 422
    assert "no regular expression" in refused.text
    assert client.get(f"{API}/runs/{run}/rules").json()["aliases"] == {"kochsalz": "salt"}


def test_two_runs_are_compared_on_the_items_they_share(client: TestClient, experiment: int) -> None:
    one = imported(client, experiment, "one", predictions(28))
    two = imported(client, experiment, "two", predictions(15))
    found = client.get(f"{API}/comparisons?runs={two},{one}").json()
    pair = found["pair"]
    assert (pair["a"], pair["b"]) == (one, two)
    assert [pair[name] for name in ("both", "only_a", "only_b", "neither")] == [15, 13, 0, 2]
    assert pair["p"] == mcnemar_exact(13, 0)
    assert (pair["difference"], pair["low"], pair["high"]) == paired_difference(15, 13, 0, 2)
    assert "is ahead by 43.3 points" in pair["sentence"]
    only = client.get(f"{API}/comparisons?runs={one},{two}&show=only_a").json()
    assert only["matching"] == 13
    assert all(one["answers"][0]["correct"] != one["answers"][1]["correct"] for one in only["items"])
    wide = table(client, f"{API}/comparisons.csv?runs={one},{two}")
    assert len(wide) == TEST_ITEMS
    assert sum(row["imported/two: correct"] == "true" for row in wide) == 15


def test_our_own_csv_can_be_imported_again(client: TestClient, experiment: int) -> None:
    run = imported(client, experiment, "first", predictions(24, wrong="=1+1"))
    data = client.get(f"{API}/runs/{run}/predictions.csv").content
    again = imported(client, experiment, "again", data)
    rows = [table(client, f"{API}/runs/{one}/predictions.csv?raw=true") for one in (run, again)]
    assert rows[0] == rows[1]
    assert rows[0][-1]["answer"] == "=1+1"


def test_the_page_says_the_same(client: TestClient, experiment: int) -> None:
    one = imported(client, experiment, "one", predictions(28))
    two = imported(client, experiment, "two", predictions(15))
    page = client.get(f"/compare?runs={one},{two}").text
    assert "is ahead by 43.3 points" in page
    assert "p &lt; 0.001" in page
    run = client.get(f"/runs/{one}").text
    assert "Wilson EB (1927)" in run
    assert "no label" in run


def test_a_file_comes_in_through_the_one_way(
    client: TestClient, experiment: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = f"{API}/experiments/{experiment}/predictions"
    assert client.post(address, data={"model": "none"}).status_code == 422
    assert client.post(address, files={"file": ("p.jsonl", b"{}")}).json()["fields"] == {
        "model": "not a usable name"
    }
    monkeypatch.setattr(settings(), "max_upload_bytes", 50)
    for path in (address, f"/experiments/{experiment}/predictions"):
        answer = client.post(path, files={"file": ("p.jsonl", predictions(24))}, data={"model": "large"})
        assert answer.status_code == 413
