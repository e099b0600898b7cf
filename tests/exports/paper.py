"""What the tests of the paper's exports share: an experiment with imported predictions of a known kind."""

import csv
import io
import json
from collections.abc import Callable, Sequence

from fastapi.testclient import TestClient
from sqlmodel import Session

from app.lab.actor import Actor
from tests.pages import upload

API = "/api/v1"
LABELS = ["acid", "base", "salt, hydrated"]
TEST_ITEMS = 60
# Answers of each task's items, by number.
GOLDS: dict[str, Callable[[int], str]] = {
    "classification": lambda n: LABELS[n % 3],
    "number": lambda n: str(round(0.5 + n * 1.25 + (n % 7) ** 2, 3)),
    "list": lambda n: ", ".join(f"part {(n + k) % 5}" for k in range(1 + n % 3)),
    "json": lambda n: json.dumps({"name": f"n{n % 4}", "size": {"w": n % 3, "h": n}, "ok": n % 2 == 0}),
    "text": lambda n: f"the reaction number {n} is {'fast and hot' if n % 2 else 'slow, then it stops'}",
}
WRONG: dict[str, Callable[[int], str]] = {
    "classification": lambda n: "=1+1" if n % 4 == 3 else LABELS[(n + 1) % 3],
    "number": lambda n: ["12", "about -3.5 units", "1e3", "none"][n % 4],
    "list": lambda n: f"part {n % 5}, other",
    "json": lambda n: ['{"name": "x"}', '{"name": ', '{"size": {"w": 0, "h": 1}}', "[1, 2]"][n % 4],
    "text": lambda n: ["the reaction is fast", "", "no idea", "it stops, the slow one"][n % 4],
}


def experiment(
    session: Session,
    actor: Actor,
    client: TestClient,
    task: str = "classification",
    name: str = "rule & <order> 100 %",
    leaked: int = 0,
) -> int:
    """An experiment over items of which every third is a test item; the first `leaked` of those stand in train too."""
    lines = []
    for i in range(3 * TEST_ITEMS):
        text = f"sample {i}: =SUM(A1) & <b>"
        messages = [{"role": "user", "content": text}, {"role": "assistant", "content": GOLDS[task](i // 3)}]
        if i % 3 == 2 and i // 3 < leaked:
            lines.append(json.dumps({"messages": messages, "split": "TRAIN"}))
        lines.append(json.dumps({"messages": messages, "split": "TEST" if i % 3 == 2 else "TRAIN"}))
    dataset = upload(session, actor, f"{task}.jsonl", "\n".join(lines).encode())
    if client.get(f"{API}/datasets/{dataset}").json()["task"] != task:
        changed = client.patch(f"{API}/datasets/{dataset}", json={"task": task})
        assert changed.status_code == 200, changed.text
    asked = {"dataset_id": dataset, "name": name, "models": [{"model": "baseline/majority"}], "seeds": [1]}
    made = client.post(f"{API}/experiments", json=asked)
    assert made.status_code == 201, made.text
    return int(made.json()["id"])


def answers(task: str, right: Sequence[int] | range, probabilities: bool = True) -> bytes:
    """A CSV of answers by input: the test items in `right` as expected, the others wrong."""
    file = io.StringIO()
    writer = csv.writer(file)
    classes = LABELS if task == "classification" and probabilities else []
    writer.writerow(["input", "answer", *(f"p({label})" for label in classes)])
    kept = set(right)
    for n in range(TEST_ITEMS):
        gold = GOLDS[task](n)
        # Few distinct values, so that many items are tied, some but for their last digit.
        sure = sum([0.1] * (4 + n % 5)) if n % 2 else 0.1 * (4 + n % 5)
        best = gold if n in kept else LABELS[(n + 1) % 3]
        p = [sure if label == best else (1 - sure) / 2 for label in classes]
        writer.writerow([f"sample {3 * n + 2}: =SUM(A1) & <b>", gold if n in kept else WRONG[task](n), *p])
    return file.getvalue().encode()


def imported(client: TestClient, experiment_id: int, name: str, data: bytes) -> int:
    """The id of the run that the import makes."""
    answer = client.post(
        f"{API}/experiments/{experiment_id}/predictions",
        files={"file": ("p.csv", data)},
        data={"model": name},
    )
    assert answer.status_code == 201, answer.text
    return int(answer.json()["id"])


def three_runs(
    session: Session, actor: Actor, client: TestClient, task: str = "classification", leaked: int = 0
) -> list[int]:
    """Three imported runs: good, middling, poor."""
    made = experiment(session, actor, client, task, leaked=leaked)
    return [
        imported(client, made, "poor_model", answers(task, range(20))),
        imported(client, made, "good", answers(task, range(55))),
        imported(client, made, "middling", answers(task, range(5, 57))),
    ]
