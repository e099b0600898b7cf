"""GET /datasets, /datasets/{id}, /check, /items, /download, and the forms of these pages."""

import re

import pytest
from fastapi.testclient import TestClient
from sqlmodel import Session

from app.datasets.forms import SplitForm, split_request
from app.datasets.page import leak_sentences, list_page
from app.datasets.queries import PAGE, dataset_view
from app.datasets.samples import SAMPLES
from app.errors import Invalid
from app.lab.actor import Actor
from app.tables import Dataset, DatasetState
from tests.datasets.conftest import rows
from tests.pages import (
    ESCAPED,
    HOSTILE,
    add_dataset,
    counted_statements,
    region,
    stranger,
    upload,
)


def test_upload_without_javascript(client: TestClient) -> None:
    answer = client.post("/datasets", files={"file": ("mine.jsonl", rows())}, follow_redirects=False)
    assert answer.status_code == 303
    page = client.get(answer.headers["location"])
    assert "Waiting for a worker." in page.text
    assert ">mine</a>" in client.get("/datasets").text


def test_upload_without_a_file_is_explained(client: TestClient) -> None:
    answer = client.post("/datasets", data={"name": "nothing"})
    assert answer.status_code == 422
    assert "multipart" in answer.text


def test_unknown_sample_is_not_found(client: TestClient) -> None:
    assert client.post("/datasets/samples", data={"sample": "nothing"}).status_code == 404


def test_list_offers_upload_and_samples(client: TestClient) -> None:
    text = client.get("/datasets").text
    assert (
        '<form class="form" id="upload" method="post" action="/datasets" enctype="multipart/form-data" data-upload'
        in text
    )
    for sample in SAMPLES.values():
        assert sample.sentence in text
    assert "Your datasets" not in text


def test_list_shows_what_matters(client: TestClient, session: Session, actor: Actor) -> None:
    add_dataset(session, actor, "good", size_bytes=1_234_567)
    add_dataset(session, actor, "bad", state=DatasetState.REFUSED, problem_count=7)
    add_dataset(session, actor, "half", state=DatasetState.CHECKING, progress=0.5)
    session.commit()
    text = " ".join(client.get("/datasets").text.split())
    for said in (
        '6 <span class="q">/</span> 1 <span class="q">/</span> 2',
        "1.2 MB",
        "7 problems",
        'value="0.5"',
    ):
        assert said in text


def test_list_pages_by_key(client: TestClient, session: Session, actor: Actor) -> None:
    made = [add_dataset(session, actor, f"dataset {number:03}") for number in range(PAGE + 3)]
    session.commit()
    first = client.get("/datasets").text
    older = re.search(r'rel="next" href="(/datasets\?before=(\d+))"', first)
    assert older
    assert int(older[2]) == made[3].id
    second = client.get(older[1]).text
    assert "dataset 002" in second
    assert "dataset 003" not in second
    assert 'rel="prev" href="/datasets"' in second
    assert 'rel="next"' not in second


def test_list_query_count_does_not_grow(session: Session, actor: Actor) -> None:
    def count() -> int:
        session.expunge_all()
        with counted_statements() as statements:
            list_page(session, actor, None)
        return len(statements)

    add_dataset(session, actor)
    before = count()
    for number in range(20):
        add_dataset(session, actor, f"dataset {number}")
    assert count() == before == 2


def test_page_query_count_does_not_grow(session: Session, actor: Actor, ready: int) -> None:
    larger = upload(session, actor, "larger.jsonl", rows(600, "other"))

    def count(dataset_id: int) -> int:
        session.expunge_all()
        with counted_statements() as statements:
            dataset_view(session, actor, dataset_id)
        return len(statements)

    assert count(larger) == count(ready)


def test_ready_page(client: TestClient, ready: int) -> None:
    text = client.get(f"/datasets/{ready}").text
    assert f'href="/experiments/new?dataset={ready}"' in text
    for said in (
        "OpenPipe",
        "classification",
        "3 classes",
        "sample 0",
        "As detected from the answers.",
        "the file&#39;s own",
    ):
        assert said in text
    assert 'aria-label="train: a 33 %' in text
    assert "hx-trigger" not in text


def test_leaks_are_said_with_their_lines(client: TestClient, ready: int) -> None:
    text = client.get(f"/datasets/{ready}").text
    assert "2 items have the same prompt as an item of another part (lines 5, 6)." in text


def test_check_fragment_is_the_region_of_the_page(client: TestClient, session: Session, actor: Actor) -> None:
    made = add_dataset(session, actor, state=DatasetState.CHECKING, progress=0.25)
    session.commit()
    page, part = client.get(f"/datasets/{made.id}"), client.get(f"/datasets/{made.id}/check")
    assert region(page.text, "check") == " ".join(part.text.split())
    assert 'hx-trigger="every 1s"' in part.text
    assert 'value="0.25"' in part.text
    assert "hx-refresh" not in part.headers


def test_check_fragment_stops_asking_at_the_end(client: TestClient, ready: int) -> None:
    part = client.get(f"/datasets/{ready}/check")
    assert "hx-get" not in part.text
    assert part.headers["hx-refresh"] == "true"


def test_refused_page_names_lines_and_mends(client: TestClient, session: Session, actor: Actor) -> None:
    refused = upload(session, actor, "broken.jsonl", b'{"messages": []}\n' * 60)
    text = client.get(f"/datasets/{refused}").text
    assert "first 50 of 60" in text
    assert text.count('<span class="line">line ') == 50
    assert "Give each row at least" in text
    assert "New experiment" not in text
    assert 'data-upload="drop"' in text


def test_whole_file_problem_has_no_line(client: TestClient, session: Session, actor: Actor) -> None:
    refused = upload(session, actor, "empty.jsonl", b"")
    text = client.get(f"/datasets/{refused}").text
    assert "whole file" in text
    assert "The file is empty." in text


def test_columns_are_asked_for_and_mapped(client: TestClient, session: Session, actor: Actor) -> None:
    table = "c1,c2\n" + "\n".join(f"word {n},{'ab'[n % 2]}" for n in range(30))
    unclear = upload(session, actor, "survey.csv", table.encode())
    text = client.get(f"/datasets/{unclear}").text
    assert "Which column is which?" in text
    assert "<option>c1</option>" in text
    mapping = {"prompt": "c1", "answer": "c2", "system": "", "split": ""}
    answer = client.post(f"/datasets/{unclear}/mapping", data=mapping, follow_redirects=False)
    assert answer.status_code == 303
    session.expire_all()
    kept = session.get_one(Dataset, unclear)
    assert (kept.state, kept.mapping["prompt"]) == (DatasetState.QUEUED, "c1")


def test_task_is_corrected(client: TestClient, ready: int) -> None:
    answer = client.post(f"/datasets/{ready}/task", data={"task": "text"}, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/datasets/{ready}#task")
    assert "Detected: Classification" in client.get(f"/datasets/{ready}").text


@pytest.mark.parametrize("task", ["number", "nonsense"])
def test_task_that_does_not_fit_is_refused_beside_the_field(
    client: TestClient, ready: int, task: str
) -> None:
    answer = client.post(f"/datasets/{ready}/task", data={"task": task})
    assert answer.status_code == 422
    assert 'id="e-task"' in answer.text
    assert "As the model will see them" in answer.text


def test_items_page_by_part(client: TestClient, ready: int) -> None:
    first = client.get(f"/datasets/{ready}/items").text
    assert first.count('<article class="reading"') == 50
    link = re.search(r'rel="next" href="([^"]+)"', first)
    assert link
    assert client.get(link[1].replace("&amp;", "&")).text.count('<article class="reading"') == 10
    test = client.get(f"/datasets/{ready}/items?part=test").text
    assert test.count('<article class="reading"') == 12
    assert "12 of 12" in test
    assert client.get(f"/datasets/{ready}/items?part=nonsense").status_code == 422


def test_download_gives_the_same_bytes(client: TestClient, ready: int) -> None:
    answer = client.get(f"/datasets/{ready}/download")
    assert answer.content == rows()
    assert answer.headers["content-disposition"].startswith("attachment")


def test_hostile_text_is_escaped_everywhere(client: TestClient, session: Session, actor: Actor) -> None:
    made = upload(session, actor, f"a{HOSTILE.replace('/', '')}.jsonl", rows(question=HOSTILE))
    for address in ("/datasets", f"/datasets/{made}", f"/datasets/{made}/items"):
        text = client.get(address).text
        assert "<script>alert" not in text
    assert ESCAPED in text
    session.expire_all()
    assert "\u202e" not in session.get_one(Dataset, made).name


def test_others_datasets_are_not_found(client: TestClient, session: Session) -> None:
    theirs = add_dataset(session, stranger(session), "not yours")
    session.commit()
    for address in ("", "/check", "/items", "/download"):
        assert client.get(f"/datasets/{theirs.id}{address}").status_code == 404
    for address in ("/task", "/splits", "/mapping"):
        form = {"task": "text", "test": "10", "validation": "10", "seed": "1"}
        assert client.post(f"/datasets/{theirs.id}{address}", data=form).status_code == 404
    assert "not yours" not in client.get("/datasets").text


def test_percentages_become_shares() -> None:
    asked = split_request(SplitForm(test="12,5 %", validation="0", seed="3"))
    assert (asked.test, asked.validation, asked.seed) == (0.125, 0.0, 3)
    with pytest.raises(Invalid) as refused:
        split_request(SplitForm(test="nan", seed=""))
    assert set(refused.value.fields) == {"test", "seed"}


def test_leak_sentences() -> None:
    assert leak_sentences({"exact": 0, "near": 0}) == []
    said = leak_sentences({"exact": 1, "lines": [3], "near": 12, "near_lines": [4, 5]})
    assert said[0] == "1 item has the same prompt as an item of another part (lines 3)."
    assert said[1].endswith("(lines 4, 5 ...).")
