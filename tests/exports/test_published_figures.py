"""A paper's per-item predictions, imported, give its accuracy and confusion matrix to the last digit."""

import csv
import io
import json
from pathlib import Path

from fastapi.testclient import TestClient
from sqlmodel import Session

from app.lab.actor import Actor
from tests.exports.paper import API, imported
from tests.exports.test_bundle import recompute, unpacked
from tests.pages import upload

LABELS = ["VL", "L", "M", "H"]
# As a paper would print it: rows are expected, columns answered. 143 of 189 are right.
PUBLISHED = [[52, 6, 1, 0], [7, 38, 5, 2], [0, 9, 31, 8], [1, 0, 7, 22]]
RULES = {"ignore_case": True, "pattern": r"(?i)class:?\s*(\w+)", "aliases": {"V": "VL", "high": "H"}}


def data_and_answers() -> tuple[bytes, bytes]:
    """The data set and the answers of the paper's model, written as such models write: "Class: v"."""
    said = {"VL": "V", "L": "l", "M": "M.", "H": "High"}
    rows, answers = [], io.StringIO()
    writer = csv.writer(answers)
    writer.writerow(["input", "answer"])
    for expected, counts in zip(LABELS, PUBLISHED, strict=True):
        for answered, count in zip(LABELS, counts, strict=True):
            for _ in range(count):
                text = f"compound {len(rows)}"
                chat = [{"role": "user", "content": text}, {"role": "assistant", "content": expected}]
                rows.append({"messages": chat, "split": "TEST"})
                writer.writerow([text, f"I think so.\nClass: {said[answered]}"])
    train = [
        {"messages": [{"role": "user", "content": f"known {n}"}, {"role": "assistant", "content": label}]}
        | {"split": "TRAIN"}
        for n, label in enumerate(LABELS * 5)
    ]
    return "\n".join(map(json.dumps, [*train, *rows])).encode(), answers.getvalue().encode()


def test_accuracy_and_confusion_are_the_papers(
    session: Session, actor: Actor, client: TestClient, tmp_path: Path
) -> None:
    data, answers = data_and_answers()
    dataset = upload(session, actor, "paper.jsonl", data)
    asked = {"dataset_id": dataset, "name": "paper", "models": [{"model": "baseline/majority"}], "seeds": [1]}
    made = client.post(f"{API}/experiments", json=asked).json()["id"]
    run = imported(client, made, "paper model", answers)
    before = client.get(f"{API}/runs/{run}").json()["scores"]
    assert before["accuracy"]["value"] == 0
    after = client.post(f"{API}/runs/{run}/rules", json=RULES)
    assert after.status_code == 200, after.text
    scores = after.json()["scores"]
    assert scores["accuracy"]["value"] == 143 / 189
    found = scores["confusion"]["detail"]
    order = [found["expected"].index(label) for label in LABELS]
    assert [[found["counts"][i][j] for j in order] for i in order] == PUBLISHED
    assert sorted(found["expected"]) == sorted(found["answered"]) == sorted(LABELS)
    folder = unpacked(client, [run], tmp_path / "bundle")
    rules = json.loads(next(folder.glob("configurations/*/answer_rules.json")).read_text())
    assert rules["rules"]["aliases"] == RULES["aliases"]
    assert "“V” means “VL”." in rules["in_words"]
    done = recompute(folder)
    assert done.returncode == 0, done.stdout
    assert "answers read otherwise" in done.stdout
