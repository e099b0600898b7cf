"""The paper bundle: its one command computes every number again; what is tampered with is found."""

import hashlib
import io
import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlmodel import Session, col, select

from app.datasets.queries import find_split
from app.datasets.stored import part_items
from app.evaluations.judge_score import store_judge_score
from app.lab.actor import Actor
from app.statistics import mcnemar_exact
from app.tables import Dataset, Endpoint, Evaluation, JudgeMark, Judging, JudgingState, MarkState, Prediction
from tests.exports.paper import API, GOLDS, TEST_ITEMS, imported, three_runs
from tests.pages import upload


def unpacked(client: TestClient, runs: list[int], folder: Path, query: str = "") -> Path:
    """The bundle of these runs, extracted."""
    answer = client.get(f"{API}/comparisons/bundle.zip?runs={','.join(map(str, runs))}{query}")
    assert answer.status_code == 200, answer.text
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        archive.extractall(folder)
    return folder


def recompute(folder: Path, *arguments: str, bare: bool = True) -> subprocess.CompletedProcess[str]:
    """Runs the bundle's command; bare: a Python without any package."""
    options = ["-I", "-S"] if bare else ["-I"]
    command = [sys.executable, *options, str(folder / "recompute.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@pytest.mark.laptop
@pytest.mark.parametrize("task", sorted(GOLDS))
def test_the_one_command_computes_every_number_again(
    session: Session, actor: Actor, client: TestClient, tmp_path: Path, task: str
) -> None:
    folder = unpacked(client, three_runs(session, actor, client, task, leaked=7), tmp_path / "bundle")
    done = recompute(folder)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    assert "numbers agree, 0 do not." in done.stdout
    assert " accuracy, unseen " in done.stdout or task != "classification"
    stored = json.loads((folder / "scores.json").read_text())
    for run in stored["runs"]:
        assert {score["n"] for score in run["unseen"].values()} <= set(range(TEST_ITEMS - 6))
        assert run["unseen"]
        for name, score in run["scores"].items():
            if score["format"] != "table" and score["value"] is not None:
                assert f"{run['key']}" in done.stdout
                assert f"  {name} " in done.stdout, f"{name} was not computed again"


@pytest.mark.laptop
def test_groups_count_whole_in_the_table_and_again_in_the_one_command(
    session: Session, actor: Actor, client: TestClient, tmp_path: Path
) -> None:
    runs, hits = grouped_runs(session, actor, client)
    query = f"runs={','.join(map(str, runs))}"
    folder = unpacked(client, runs, tmp_path / "bundle")
    done = recompute(folder)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    pair = json.loads((folder / "scores.json").read_text())["pairs"][0]
    assert pair["groups"] >= 20
    assert f"p over {pair['groups']} groups" in done.stdout
    compared = client.get(f"{API}/comparisons?{query}&a={runs[0]}&b={runs[1]}").json()["pair"]
    assert pair["p"] == pytest.approx(compared["p"], abs=1e-11)
    assert (pair["low"], pair["high"]) == pytest.approx((compared["low"], compared["high"]), abs=1e-11)
    # As items of their own they would say more.
    assert mcnemar_exact(hits, 0) < 0.01 < pair["p"]
    assert (
        f"exact permutation test over {pair['groups']} whole groups"
        in (folder / "tables/scores.md").read_text()
    )
    assert f"swaps {pair['groups']} whole groups" in (folder / "methods.txt").read_text()
    assert f"interval and p are over {pair['groups']} groups" in (folder / "page/index.html").read_text()


def grouped_runs(session: Session, actor: Actor, client: TestClient) -> tuple[list[int], int]:
    """Two imported runs over a split of families of four, and on how many items only the first is right: those of
    the first five families."""
    lines = [
        json.dumps(
            {
                "messages": [
                    {"role": "user", "content": f"q {i}"},
                    {"role": "assistant", "content": "ab"[i % 2]},
                ],
                "family": f"f{i // 4}",
            }
        )
        for i in range(240)
    ]
    dataset = upload(session, actor, "families.jsonl", "\n".join(lines).encode())
    asked = {"kind": "grouped", "key": "family", "test": 0.5, "validation": 0, "name": "families"}
    assert client.post(f"{API}/datasets/{dataset}/splits", json=asked).status_code == 201
    launch = {"dataset_id": dataset, "name": "e", "split": "families", "seeds": [1]}
    launch["models"] = [{"model": "baseline/majority"}]
    made = client.post(f"{API}/experiments", json=launch).json()["id"]
    split = find_split(session, actor, dataset, "families")
    items = list(part_items(session, session.get_one(Dataset, dataset), split, "test"))
    session.commit()
    first = set(list(dict.fromkeys(item.group for item in items))[:5])
    runs = []
    for name, wrong in (("good", set()), ("poor", first)):
        rows = [
            json.dumps({"item": item.item_id, "answer": "?" if item.group in wrong else item.answer})
            for item in items
        ]
        runs.append(imported(client, made, name, "\n".join(rows).encode()))
    return runs, sum(item.group in first for item in items)


@pytest.mark.laptop
@pytest.mark.parametrize("task", sorted(GOLDS))
def test_bootstrap_intervals_are_repeated(
    session: Session, actor: Actor, client: TestClient, tmp_path: Path, task: str
) -> None:
    folder = unpacked(client, three_runs(session, actor, client, task, leaked=7), tmp_path / "bundle")
    without = recompute(folder, "--bootstrap")
    assert (without.returncode, without.stdout) == (2, "")
    assert "recompute/requirements.txt" in without.stderr
    done = recompute(folder, "--bootstrap", bare=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    assert "bootstrap" in done.stdout


@pytest.mark.laptop
def test_a_judges_marks_are_in_it(session: Session, actor: Actor, client: TestClient, tmp_path: Path) -> None:
    runs = three_runs(session, actor, client, "text", leaked=7)
    judged(session, actor, runs[1])
    folder = unpacked(client, runs, tmp_path / "bundle")
    done = recompute(folder, "--bootstrap", bare=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    for name in ("judge_score", "judge_score, unseen", "judge_score, bootstrap"):
        assert re.search(rf"^imported-good +{name} ", done.stdout, re.MULTILINE), name
    rows = [json.loads(line) for line in (folder / "predictions/imported-good.jsonl").open()]
    assert [row["judge_mark"] for row in rows[:3]] == [None, 0.1, 0.2]
    stored = json.loads((folder / "scores.json").read_text())
    score = next(run for run in stored["runs"] if run["key"] == "imported-good")["scores"]["judge_score"]
    assert score["n"] == TEST_ITEMS - 1
    judge = json.loads((folder / "configurations/imported-good/judge.json").read_text())
    assert (judge["model"], judge["prompt"]) == ("judge-1", "Mark {answer}.")
    assert "127.0.0.1" not in json.dumps(judge)
    said = "marked by the judge model judge-1 on 59 of 60 items (scale: points; prompt SHA-256 " + "a" * 64
    assert said in (folder / "methods.txt").read_text()


def judged(session: Session, actor: Actor, run_id: int) -> None:
    """Marks of a judge for all test items of a run but the first: 0.1, 0.2 ... 1 and again."""
    evaluation = session.exec(select(Evaluation).where(Evaluation.run_id == run_id)).one()
    owner: dict[str, Any] = {"project_id": actor.project_id, "maker_id": actor.member_id}
    endpoint = Endpoint(**owner, name="judge", base_url="http://127.0.0.1:1/v1", model="judge-1")
    session.add(endpoint)
    session.flush()
    judging = Judging(
        **owner, run_id=run_id, evaluation_id=evaluation.id or 0,
        endpoint_id=endpoint.id or 0, base_url="http://127.0.0.1:1/v1", model="judge-1", scale="points",
        prompt="Mark {answer}.", prompt_sha256="a" * 64, items=TEST_ITEMS - 1, of_items=TEST_ITEMS,
        state=JudgingState.DONE,
    )  # fmt: skip
    session.add(judging)
    session.flush()
    numbers = session.exec(
        select(Prediction.number)
        .where(Prediction.evaluation_id == evaluation.id)
        .order_by(col(Prediction.number))
    ).all()
    for place, number in enumerate(numbers[1:]):
        value = (place % 10 + 1) / 10
        session.add(JudgeMark(judging_id=judging.id or 0, number=number, state=MarkState.MARKED, value=value))
    session.flush()
    store_judge_score(session, evaluation.id or 0)
    session.commit()


@pytest.mark.laptop
def test_a_changed_answer_a_changed_score_and_a_changed_p_are_found(
    session: Session, actor: Actor, client: TestClient, tmp_path: Path
) -> None:
    runs = three_runs(session, actor, client)
    folder = unpacked(client, runs, tmp_path / "answer")
    path = next((folder / "predictions").glob("*good*.jsonl"))
    path.write_text(path.read_text().replace('"answer_read":"acid"', '"answer_read":"base"', 1))
    done = recompute(folder)
    assert done.returncode == 1
    assert "DISAGREES" in done.stdout
    for place, (kind, name) in enumerate((("runs", "value"), ("pairs", "p"), ("pairs", "p_holm"))):
        folder = unpacked(client, runs, tmp_path / str(place))
        stored = json.loads((folder / "scores.json").read_text())
        changed = stored["runs"][0]["scores"]["accuracy"] if kind == "runs" else stored["pairs"][0]
        changed[name] += 1e-6
        (folder / "scores.json").write_text(json.dumps(stored))
        done = recompute(folder)
        assert done.returncode == 1, name
        assert done.stdout.count("DISAGREES") == 1


def test_the_sums_fit_and_nothing_tells_of_the_machine(
    session: Session, actor: Actor, client: TestClient, tmp_path: Path, home: Path
) -> None:
    folder = unpacked(client, three_runs(session, actor, client), tmp_path / "bundle", "&data=true")
    for line in (folder / "SHA256SUMS").read_text().splitlines():
        sha, name = line.split("  ")
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == sha
    everything = b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())
    assert str(home).encode() not in everything
    assert b"launch_key" not in everything
    assert (folder / "data" / "dataset.jsonl").stat().st_size == json.loads(
        (folder / "data" / "hash.json").read_text()
    )["size_bytes"]


def test_texts_stay_at_home_unless_they_are_asked_for(
    session: Session, actor: Actor, client: TestClient, tmp_path: Path
) -> None:
    runs = three_runs(session, actor, client)
    without = unpacked(client, runs, tmp_path / "without", "&inputs=false")
    everything = b"".join(path.read_bytes() for path in without.rglob("*") if path.is_file())
    assert b"sample 2:" not in everything
    assert recompute(without).returncode == 0
    page = (unpacked(client, runs, tmp_path / "with") / "page" / "items-001.html").read_text()
    assert "sample 2: =SUM(A1) &amp; &lt;b&gt;" in page
    assert page.count("<tr>") == TEST_ITEMS + 1


def test_the_static_page_needs_no_server_and_no_script(
    session: Session, actor: Actor, client: TestClient, tmp_path: Path
) -> None:
    folder = unpacked(client, three_runs(session, actor, client), tmp_path / "bundle") / "page"
    text = (folder / "index.html").read_text()
    assert "<script" not in text
    assert "http" not in (folder / "style.css").read_text().replace("http://www.w3.org", "")
    assert "url(" not in (folder / "style.css").read_text()
    assert 'src="/' not in text
    assert 'href="/' not in text
    assert "is ahead by" in text
    assert (folder / "items-001.html").is_file()
