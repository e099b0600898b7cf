"""GET and POST /runs/{id}/judge, /judgings/{id} and its parts, and the same under /api/v1."""

import csv
import io
from html import unescape

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import update
from sqlmodel import Session, select

from app.evaluations.judge_prompts import SCALES, prompt_sha256
from app.lab.actor import Actor
from app.tables import Experiment, Judging, JudgingState, Run
from tests.emulator.openai_chat import Emulator
from tests.evaluations.judged import ITEMS, KEY, add_judge, ask_for, judging_of, other_run, start
from tests.pages import counted_statements, region, stranger
from workers.judgings import advance


def form(endpoint: int, **values: object) -> dict[str, str]:
    fields = {
        "scale": "right",
        "endpoint": endpoint,
        "prompt": SCALES["right"].prompt,
        "items": "",
        "seed": "1",
        "cap": "",
    }
    return {name: str(value) for name, value in {**fields, **values}.items()}


def test_form_shows_prompt_and_estimate_before_the_start(client: TestClient, run: int, endpoint: int) -> None:
    text = client.get(f"/runs/{run}/judge?scale=right").text
    assert SCALES["right"].prompt.strip() in unescape(text)
    said = region(text, "estimate")
    assert f"{ITEMS} calls for {ITEMS} items of {ITEMS}" in said
    assert "about $0.0" in said
    assert 'href="/runs/1/judge"' in client.get(f"/runs/{run}").text


def test_form_without_a_judge_says_where_to_enter_one(client: TestClient, run: int) -> None:
    assert "No judge yet" in client.get(f"/runs/{run}/judge").text


def test_estimate_is_made_anew_without_a_start(
    client: TestClient, session: Session, run: int, endpoint: int
) -> None:
    answer = client.post(f"/runs/{run}/judge", data=form(endpoint, items=3, step="estimate"))
    assert answer.status_code == 200
    assert "3 calls for 3 items of 12" in answer.text
    assert session.exec(select(Judging)).all() == []


def test_start_from_the_form(client: TestClient, session: Session, run: int, endpoint: int) -> None:
    prompt = SCALES["right"].prompt.replace("\n", "\r\n")
    answer = client.post(
        f"/runs/{run}/judge",
        data=form(endpoint, step="start", prompt=prompt, cap="1.5"),
        follow_redirects=False,
    )
    assert (answer.status_code, answer.headers["location"]) == (303, "/judgings/1")
    made = judging_of(1)
    assert made.prompt_sha256 == prompt_sha256(SCALES["right"].prompt)
    assert made.cap_microdollars == 1_500_000


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("items", "many"),
        ("items", "0"),
        ("cap", "nan"),
        ("cap", "-1"),
        ("prompt", "no place"),
        ("prompt", ""),
        ("seed", "x"),
    ],
)
def test_wrong_fields_are_said_beside_them(
    client: TestClient, session: Session, run: int, endpoint: int, field: str, value: str
) -> None:
    answer = client.post(f"/runs/{run}/judge", data=form(endpoint, step="start", **{field: value}))
    assert answer.status_code == 422
    assert f'id="e-{field}"' in answer.text
    assert session.exec(select(Judging)).all() == []


def test_cap_needs_prices(
    client: TestClient, session: Session, actor: Actor, run: int, emulator: Emulator
) -> None:
    free = add_judge(session, actor, emulator)
    answer = client.post(f"/runs/{run}/judge", data=form(free, step="start", cap="1"))
    assert (answer.status_code, 'id="e-cap"' in answer.text) == (422, True)


def test_page_of_a_finished_judging(client: TestClient, run: int, endpoint: int) -> None:
    number = start(client, run, endpoint)
    assert 'hx-trigger="every 2s"' in client.get(f"/judgings/{number}").text
    advance(number)
    text = client.get(f"/judgings/{number}").text
    assert 'hx-trigger="every 2s"' not in text
    # Answers 1, 10 and 11 are right.
    assert "Mean mark of first: 25.0 % (95 % interval" in text
    assert "<b>Because" not in text
    assert "<script>answer" not in text
    assert KEY not in text
    status = client.get(f"/judgings/{number}/status")
    assert status.headers["hx-refresh"] == "true"
    run_page = client.get(f"/runs/{run}").text
    assert "Judge score" in run_page
    assert f'href="/judgings/{number}"' in run_page


def test_filters_and_csv(client: TestClient, run: int, endpoint: int, emulator: Emulator) -> None:
    right = emulator.answer
    emulator.answer = lambda prompt: "=1+1" if "question 2?" in prompt else right(prompt)
    number = start(client, run, endpoint)
    advance(number)
    shown = {
        show: region(client.get(f"/judgings/{number}?show={show}").text, "items").count("What is question")
        for show in ("all", "low", "unreadable", "failed", "no such filter")
    }
    assert shown == {"all": ITEMS, "low": ITEMS, "unreadable": 1, "failed": 0, "no such filter": ITEMS}
    rows = list(csv.DictReader(io.StringIO(client.get(f"/judgings/{number}/marks.csv").text)))
    assert [row["state"] for row in rows].count("marked") == ITEMS - 1
    assert rows[2]["reply"] == "'=1+1"
    assert "after=-1" not in client.get(f"/judgings/{number}?after=-1").text
    assert client.get(f"/judgings/{number}?after=-1").status_code == 422


def test_pair_says_who_wins(
    client: TestClient, session: Session, actor: Actor, run: int, endpoint: int, emulator: Emulator
) -> None:
    second = other_run(session, actor, run)
    emulator.answer = lambda prompt: (
        f"MARK: {1 if 'of the first' in prompt.partition('<answer_2>')[0] else 2}"
    )
    text = client.get(f"/runs/{run}/judge?scale=pair").text
    assert f'value="{second}"' in text
    assert "24 calls" in text
    number = start(client, run, endpoint, scale="pair", other_run_id=second)
    advance(number)
    said = unescape(client.get(f"/judgings/{number}").text)
    assert "first wins 100.0 % against second over 12 items: 12 won, 0 tied, 0 lost" in said
    assert "no spread to draw an interval from" in said
    assert client.get(f"/judgings/{number}?show=inconsistent").status_code == 200
    same = client.post(
        f"/api/v1/runs/{run}/judgings", json={"endpoint_id": endpoint, "scale": "pair", "other_run_id": run}
    )
    assert same.status_code == 422


def test_dry_run_estimates_only(client: TestClient, session: Session, run: int, endpoint: int) -> None:
    body = {"endpoint_id": endpoint, "dry_run": True, "items": 4}
    answer = client.post(f"/api/v1/runs/{run}/judgings", json=body).json()
    assert (answer["items"], answer["calls"], answer["of_items"]) == (4, 4, ITEMS)
    assert answer["cost_microdollars"] == 2 * (answer["input_tokens"] + answer["output_tokens"])
    assert session.exec(select(Judging)).all() == []


def test_cancel_and_resume(client: TestClient, run: int, endpoint: int) -> None:
    number = start(client, run, endpoint)
    assert client.post(f"/judgings/{number}/resume").status_code == 409
    assert client.post(f"/judgings/{number}/cancel", follow_redirects=False).status_code == 303
    advance(number)
    assert judging_of(number).state == JudgingState.CANCELLED
    assert client.post(f"/api/v1/judgings/{number}/cancel").status_code == 409
    assert "Go on with what is not marked" in client.get(f"/judgings/{number}").text
    assert client.post(f"/judgings/{number}/resume", data={"cap": "x"}).status_code == 422
    client.post(f"/judgings/{number}/resume", data={})
    advance(number)
    assert judging_of(number).state == JudgingState.DONE


def test_endpoint_in_use_is_not_removed(client: TestClient, run: int, endpoint: int) -> None:
    number = start(client, run, endpoint)
    assert client.post(f"/settings/endpoints/{endpoint}/remove").status_code == 409
    advance(number)
    assert client.post(f"/settings/endpoints/{endpoint}/remove", follow_redirects=False).status_code == 303
    assert client.get(f"/judgings/{number}").status_code == 200
    answer = client.post(f"/api/v1/runs/{run}/judgings", json={"endpoint_id": endpoint, "scale": "right"})
    assert answer.status_code == 404


def test_locked_test_sets_are_not_judged_and_marks_not_shown(
    client: TestClient, session: Session, run: int, endpoint: int
) -> None:
    number = start(client, run, endpoint)
    advance(number)
    session.execute(update(Experiment).values(choose_on="validation"))
    session.commit()
    for path in (
        f"/judgings/{number}",
        f"/judgings/{number}/label",
        f"/judgings/{number}/marks.csv",
        f"/api/v1/judgings/{number}/marks",
        f"/runs/{run}/judge",
    ):
        assert client.get(path).status_code == 403
    assert "25.0" not in client.get(f"/runs/{run}").text


def test_others_see_nothing(
    client: TestClient, session: Session, actor: Actor, run: int, endpoint: int
) -> None:
    number = start(client, run, endpoint)
    session.execute(update(Judging).values(project_id=stranger(session).project_id))
    session.commit()
    for path in ("", "/status", "/label", "/marks.csv"):
        assert client.get(f"/judgings/{number}{path}").status_code == 404
    for action in ("cancel", "resume", "label"):
        assert (
            client.post(f"/judgings/{number}/{action}", data={"number": "0", "label": "1"}).status_code == 404
        )
    assert client.get(f"/api/v1/runs/{run}/judgings").json() == []


def test_statements_do_not_grow_with_marks(
    client: TestClient, session: Session, run: int, endpoint: int
) -> None:
    few, many = start(client, run, endpoint, items=2), start(client, run, endpoint)
    found = []
    for number in (few, many):
        advance(number)
        with counted_statements() as statements:
            client.get(f"/judgings/{number}")
        found.append(len(statements))
    assert found[0] == found[1]


def test_running_judging_asks_again_for_its_head(
    client: TestClient, session: Session, actor: Actor, run: int, endpoint: int
) -> None:
    number = ask_for(session, actor, session.get_one(Run, run), endpoint)
    status = client.get(f"/judgings/{number}/status")
    assert "hx-refresh" not in status.headers
    assert region(client.get(f"/judgings/{number}").text, "judging") == region(status.text, "judging")
