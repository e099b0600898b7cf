"""The page for the paper, its texts, and tables in every format over pages and API."""

import csv
import io
import json
import re

import pyarrow.parquet as pq
import pytest
from fastapi.testclient import TestClient
from sqlmodel import Session

from app.cells import unguarded
from app.export_formats import formats
from app.exports.answer_rows import wide_rows
from app.exports.markdown import escape, markdown_table
from app.exports.methods import methods
from app.exports.score_table import p_written
from app.exports.state import read_state
from app.format import joined
from app.lab.actor import Actor
from app.tables import Run
from tests.exports.paper import API, LABELS, TEST_ITEMS, answers, experiment, imported, three_runs
from tests.exports.test_determinism import filled
from tests.pages import stranger


def chosen(runs: list[int]) -> str:
    """The runs as a URL says them."""
    return ",".join(map(str, runs))


def test_predictions_of_all_runs_in_every_format_say_the_same(
    session: Session, actor: Actor, client: TestClient
) -> None:
    runs = three_runs(session, actor, client)
    address = f"{API}/comparisons/export?runs={chosen(runs)}&what=predictions&format="
    tables = {name: client.get(address + name) for name in ("csv", "csv-raw", "jsonl", "parquet")}
    assert {answer.status_code for answer in tables.values()} == {200}
    rows = [json.loads(line) for line in tables["jsonl"].text.splitlines()]
    assert len(rows) == 3 * TEST_ITEMS
    assert pq.read_table(io.BytesIO(tables["parquet"].content)).to_pylist() == rows
    assert list(rows[0])[:8] == ["run", "model", "seed", "item", "line", "split", "group", "input"]
    assert [row["run"] for row in rows[::TEST_ITEMS]] == [
        "imported-good", "imported-middling", "imported-poor-model",
    ]  # fmt: skip
    raw = list(csv.DictReader(io.StringIO(tables["csv-raw"].text, newline="")))
    safe = list(csv.DictReader(io.StringIO(tables["csv"].text, newline="")))
    assert [row["answer"] for row in raw] == [row["answer"] for row in rows]
    assert [unguarded(row["answer"]) for row in safe] == [row["answer"] for row in raw]
    assert "'=1+1" in {row["answer"] for row in safe}
    p = f"p({LABELS[0]})"
    assert [float(row[p]) for row in raw] == [row[p] for row in rows]
    single = client.get(f"{API}/runs/{runs[1]}/predictions.csv?raw=true").text
    own = list(csv.DictReader(io.StringIO(single, newline="")))
    assert [row["item"] for row in own] == [row["item"] for row in raw[:TEST_ITEMS]]
    assert [row["correct"] for row in own] == [row["correct"] for row in raw[:TEST_ITEMS]]


def test_the_wide_table_has_a_line_per_item_and_gaps(
    session: Session, actor: Actor, client: TestClient
) -> None:
    made = experiment(session, actor, client)
    whole = imported(client, made, "whole", answers("classification", range(50)))
    some = b"\r\n".join(answers("classification", range(60)).split(b"\r\n")[:11])
    part = imported(client, made, "part", some)
    text = client.get(f"/compare/export?runs={whole},{part}&what=wide&format=jsonl").text
    rows = [json.loads(line) for line in text.splitlines()]
    assert len(rows) == TEST_ITEMS
    assert sum(row["imported-part: correct"] is None for row in rows) == TEST_ITEMS - 10
    assert all(row["imported-whole: correct"] is not None for row in rows)
    paper = client.get(f"{API}/comparisons/paper?runs={whole},{part}").json()
    assert "Scores on 10 to 60 test items" in paper["scores.md"]
    assert "on 10 shared items" in paper["scores.md"]


def test_the_quick_wide_csv_is_the_table_byte_for_byte(
    session: Session, actor: Actor, client: TestClient
) -> None:
    made = experiment(session, actor, client)
    runs = [imported(client, made, "whole", answers("classification", range(50)))]
    lines = answers("classification", range(10), False).splitlines(keepends=True)
    runs.append(imported(client, made, "part", b"".join(lines[:9])))
    state = read_state(session, actor, runs)
    for name in ("csv", "csv-raw"):
        file = io.BytesIO()
        formats()[name].write(wide_rows(session, actor, state), file)
        session.rollback()
        quick = client.get(f"{API}/comparisons/export?runs={chosen(runs)}&what=wide&format={name}").content
        assert quick == file.getvalue()


def test_scores_are_those_of_the_api(session: Session, actor: Actor, client: TestClient) -> None:
    runs = three_runs(session, actor, client)
    text = client.get(f"{API}/comparisons/export?runs={chosen(runs)}&what=scores&format=jsonl").text
    rows = {(row["run"], row["metric"]): row for row in map(json.loads, text.splitlines())}
    scores = client.get(f"{API}/runs/{runs[1]}").json()["scores"]
    for name, score in scores.items():
        if score["format"] != "table":
            found = rows["imported-good", name]
            assert [found[key] for key in ("value", "low", "high")] == [
                score[k] for k in ("value", "low", "high")
            ]
            assert found["items"] == score["n"]


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("/comparisons/export?runs={run}&what=nothing", 422),
        ("/comparisons/export?runs={run}&format=xlsx", 422),
        ("/comparisons/export?runs=x", 422),
        ("/comparisons/export?runs=", 422),
        ("/comparisons/export?runs=987654", 404),
        ("/comparisons/paper?runs=987654", 404),
        ("/comparisons/bundle.zip?runs=987654", 404),
    ],
)
def test_what_is_not_there_is_said(
    session: Session, actor: Actor, client: TestClient, address: str, status: int
) -> None:
    made = experiment(session, actor, client)
    run = imported(client, made, "one", answers("classification", range(50)))
    answer = client.get(API + address.format(run=run))
    assert answer.status_code == status
    assert answer.json()["detail"]


def test_a_strangers_runs_are_not_there(session: Session, actor: Actor, client: TestClient) -> None:
    other = stranger(session)
    run = three_runs(session, actor, client)[0]
    row = session.get_one(Run, run)
    row.project_id = other.project_id
    session.add(row)
    session.commit()
    for address in ("compare/paper", "compare/export", "compare/bundle.zip", "compare/paper/scores.tex"):
        assert client.get(f"/{address}?runs={run}").status_code == 404


def test_the_page_shows_every_text_escaped(session: Session, actor: Actor, client: TestClient) -> None:
    runs = three_runs(session, actor, client)
    text = client.get(f"/compare/paper?runs={chosen(runs)}").text
    for name in ("latex", "markdown", "methods", "bibtex"):
        assert f'id="{name}"' in text
    assert "\\toprule" in text
    assert "poor\\_model" in text
    assert f"/compare/export?runs={chosen(runs)}&amp;what=wide&amp;format=parquet" in text
    for name in ("scores.tex", "scores.md", "methods.txt", "references.bib"):
        answer = client.get(f"/compare/paper/{name}?runs={chosen(runs)}")
        assert answer.status_code == 200
        assert answer.headers["content-disposition"].endswith(f'{name}"')
    assert client.get(f"/compare/paper/passwd?runs={chosen(runs)}").status_code == 404


def test_the_run_and_compare_pages_offer_every_format(
    session: Session, actor: Actor, client: TestClient
) -> None:
    run = three_runs(session, actor, client)[0]
    for address in (f"/runs/{run}", f"/compare?runs={run}"):
        text = client.get(address).text
        assert f"/compare/export?runs={run}&amp;what=predictions&amp;format=parquet" in text
    assert f'href="/compare/paper?runs={run}"' in text


def test_methods_name_every_number(session: Session, actor: Actor, client: TestClient) -> None:
    runs = filled(session, actor, client, 0, "/srv/models", 1)
    state = read_state(session, actor, runs)
    session.rollback()
    text = client.get(f"{API}/comparisons/paper?runs={chosen(runs)}").json()["methods.txt"]
    for said in (
        state.dataset.sha256,
        state.splits[0].sha256,
        "120 train, 0 validation and 60 test items",
        "classification into 3 classes. The classes are “acid”; “base”; and “salt, hydrated”.",
        "No run has significantly fewer right answers than tiny-llama, seed 1.",
        "before the last launch on this split.",
        "tiny-llama (hf/tiny-llama): we set learning rate 0.0002.",
        "What really ran is not disclosed for base.",
        "Seeds: 1 and 2.",
        "were made outside Tunebook and imported",
        "A CPU (2 cores), 8.0 GB of memory and no GPU, with 2 threads",
        "Python 3.12.1, peft 0.21.2 and torch 2.13.0",
        "Tunebook 0.1.0",
        "The 2 runs cost $0.00 in all. Training took 25 s in all. 2,000 tokens were trained on.",
        "Energy was not measured.",
        "2026-03-01 09:30 to 2026-03-01 10:30 UTC",
        "Blanks before and after the answer do not count.",
        "exact McNemar test",
    ):
        assert said in text, f"{said!r} is not in:\n{text}"
    assert "stands in train too" not in text
    assert "  " not in text
    assert not re.search(r"\.\.|\bNone\b|\{\}|\[\]", text)


def test_methods_count_the_test_items_that_stand_in_train(
    session: Session, actor: Actor, client: TestClient
) -> None:
    text = methods(read_state(session, actor, three_runs(session, actor, client, leaked=7)))
    assert "The input of 7 test items stands in train too, word for word." in text


def test_references_are_of_what_was_used(session: Session, actor: Actor, client: TestClient) -> None:
    runs = filled(session, actor, client, 0, "/srv/models", 1)
    text = client.get(f"{API}/comparisons/paper?runs={chosen(runs)}").json()["references.bib"]
    keys = re.findall(r"^@\w+\{([^,]+),$", text, re.MULTILINE)
    assert len(keys) == len(set(keys))
    assert {"pytorch", "peft", "tunebook", "wilson1927", "mcnemar1947", "holm1979"} < set(keys)
    assert not {"scikit-learn", "trl", "lora"} & set(keys)
    assert text.count("{") == text.count("}")


def test_preference_training_is_told_and_cited(session: Session, actor: Actor, client: TestClient) -> None:
    runs = filled(session, actor, client, 0, "/srv/models", 1)
    plain = client.get(f"{API}/comparisons/paper?runs={chosen(runs)}").json()
    assert "preference" not in plain["methods.txt"] + plain["references.bib"]
    row = session.get_one(Run, runs[0])
    objective = {"asked": "dpo", "sent": "dpo", "resolved": "dpo", "source": "you"}
    row.ledger, row.snapshot = (
        {**row.ledger, "objective": objective},
        {**row.snapshot, "pairs": {"train": 96}},
    )
    session.add(row)
    session.commit()
    told = client.get(f"{API}/comparisons/paper?runs={chosen(runs)}").json()
    said = (
        "e trained by direct preference optimization (Rafailov et al., 2023) on 96 pairs of a wanted and a "
        "rejected answer. We set"
    )
    assert said in told["methods.txt"]
    assert "@inproceedings{dpo," in told["references.bib"]


def test_markdown_is_escaped(session: Session, actor: Actor, client: TestClient) -> None:
    table = markdown_table(read_state(session, actor, three_runs(session, actor, client)))
    rows = [line for line in table.splitlines() if line.startswith("|")]
    assert len(rows) == 5
    assert len({len(re.findall(r"(?<!\\)\|", row)) for row in rows}) == 1
    assert "poor\\_model" in table
    assert escape("<script> a|b\n*c*") == "&lt;script&gt; a\\|b \\*c\\*"


def test_words() -> None:
    assert [joined(parts) for parts in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == [
        "",
        "a",
        "a and b",
        "a, b and c",
    ]
    assert joined(["a, 1", "b"]) == "a, 1; and b"
    assert [p_written(p) for p in (0.0004, 0.0312, 0.05, 0.04996, 0.31, 1.0)] == [
        "< 0.001", "0.031", "0.0500", "0.0500", "0.31", "1.00",
    ]  # fmt: skip


def test_a_large_bundle_is_made_by_the_worker(
    session: Session,
    actor: Actor,
    client: TestClient,
    monkeypatch: pytest.MonkeyPatch,
    sent: list[tuple[str, int]],
) -> None:
    from workers.exports import make

    runs = three_runs(session, actor, client)
    at_once = client.get(f"{API}/comparisons/bundle.zip?runs={chosen(runs)}").content
    monkeypatch.setattr("app.exports.paper_export.MOST_AT_ONCE", 100)
    refused = client.get(f"{API}/comparisons/bundle.zip?runs={chosen(runs)}")
    assert refused.status_code == 409
    assert "the worker makes it" in refused.text
    assert 'method="post" action="/compare/bundle"' in client.get(f"/compare/paper?runs={chosen(runs)}").text
    asked = client.post(f"{API}/comparisons/bundle", json={"runs": chosen(runs), "inputs": True})
    assert asked.status_code == 202, asked.text
    export = asked.json()["id"]
    assert sent[-1][1] == export
    make(export)
    done = client.get(f"{API}/exports/{export}").json()
    assert (done["state"], done["error"]) == ("ready", None)
    assert client.get(done["file"]).content == at_once
    posted = client.post("/compare/bundle", data={"runs": chosen(runs)}, follow_redirects=False)
    assert posted.status_code == 303
    assert posted.headers["location"].startswith(f"/runs/{runs[1]}/exports#export-")
