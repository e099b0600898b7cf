"""The task is told from the answers, labels have one order, and both can be corrected."""

import pytest
from fastapi.testclient import TestClient

from app.datasets.task import Answers, detect_task, order_labels
from tests.datasets.checked import chat, colours, jsonl, look, send

ANSWERS = {
    "classification": [["yes", "no", "maybe"][n % 3] for n in range(30)],
    "number": [f"{n / 7:.3f}" for n in range(60)],
    "list": [", ".join(["oak", "elm", "ash", "fir"][n % 3 : n % 3 + 1 + n % 2]) for n in range(60)],
    "json": [f'{{"a": {n}}}' for n in range(30)],
    "text": [f"This is sentence {n}, and it goes on for a while." for n in range(30)],
}
MORE = [
    ("classification", [str(n % 5) for n in range(100)]),
    ("number", [f"{n:,} %" for n in range(900, 1900)]),
    ("list", [f"[{n}, 2]" for n in range(30)]),
    ("text", [f"word{n}" for n in range(30)]),
    ("classification", ["Paris, France", "Lyon, France", "Rome, Italy"] * 9),
    ("text", ["one", "two"]),
    ("text", ["x" * 70, "y" * 70] * 20),
]


@pytest.mark.parametrize(("task", "texts"), [*ANSWERS.items(), *MORE])
def test_detection(task: str, texts: list[str]) -> None:
    answers = Answers()
    answers.add([text if len(text) <= 64 else None for text in texts], texts)
    assert detect_task(answers) == task


def test_one_odd_answer_in_a_thousand_does_not_hide_the_task() -> None:
    texts = [*(f"{n / 7:.3f}" for n in range(1000)), "unknown"]
    answers = Answers()
    answers.add(list(texts), texts)
    assert detect_task(answers) == "number"


def test_order_of_labels() -> None:
    counts = {"L": 3, "VL": 1, "M": 3, "U": 2, "H": 9}
    assert order_labels(counts, "Answer with one letter.\nReturn only VL, L, U, M, H.") == [
        "VL",
        "L",
        "U",
        "M",
        "H",
    ]
    assert order_labels(counts, "low (L), VL or M") == ["H", "L", "M", "U", "VL"]
    assert order_labels({"10": 9, "2": 1, "-1": 1}) == ["-1", "2", "10"]
    assert order_labels({"no": 2, "yes": 2}) == ["no", "yes"]


def test_correction(client: TestClient) -> None:
    found = send(client, jsonl(*[chat(f"q{n}", str(n % 4)) for n in range(40)]))
    assert (found["task"], found["labels"]) == ("classification", ["0", "1", "2", "3"])
    address = f"/api/v1/datasets/{found['id']}"
    number = client.patch(address, json={"task": "number"}).json()
    assert (number["task"], number["task_detected"], number["labels"]) == ("number", "classification", [])
    back = client.patch(address, json={"task": "classification"}).json()
    assert back["labels"] == ["0", "1", "2", "3"]
    assert client.patch(address, json={"task": "poetry"}).status_code == 422


def test_correction_that_the_answers_do_not_allow(client: TestClient) -> None:
    found = send(client, jsonl(*[chat(f"q{n}", f"a sentence {n}") for n in range(300)]))
    address = f"/api/v1/datasets/{found['id']}"
    assert "no closed set" in client.patch(address, json={"task": "classification"}).json()["detail"]
    assert "no numbers" in client.patch(address, json={"task": "number"}).json()["detail"]
    assert look(client, found["id"])["task"] == "text"


def test_task_given_with_the_upload(client: TestClient) -> None:
    found = send(client, jsonl(*colours(30)), task="text")
    assert (found["task"], found["task_detected"], found["labels"]) == ("text", "classification", [])
    answer = client.post("/api/v1/datasets", files={"file": ("a.jsonl", b"x")}, data={"task": "poetry"})
    assert answer.status_code == 422


def test_facts(client: TestClient) -> None:
    facts = send(client, jsonl(*colours(30)))["facts"]
    assert facts["labels"] == {"blue": 10, "green": 10, "red": 10}
    assert facts["longest_answer_characters"] == 5
    assert sum(facts["token_histogram"]["counts"]) == 30
    assert len(facts["token_histogram"]["edges"]) == len(facts["token_histogram"]["counts"]) + 1
    assert facts["total_tokens"] == pytest.approx(30 * facts["mean_tokens"], abs=1)
