"""The pure parts of hosted runs: ledger, cost, files, places."""

import json
from pathlib import Path

import pytest

from app.providers._shapes import Point
from app.runs.hosted import Place, pause_seconds, place_of, provider_name, remote_model
from app.runs.hosted_files import append_log, write_curves, write_raw
from app.runs.hosted_ledger import close, read_back
from app.runs.hosted_news import good_points
from app.runs.ledger import open_ledger, show
from app.service_http import Access
from app.tables import Run


@pytest.mark.parametrize(
    ("model", "place"),
    [
        ("baseline/majority", Place.LOCAL),
        ("hf/owner/name", Place.LOCAL),
        ("imported/x", Place.LOCAL),
        ("openai/gpt-4.1", Place.HOSTED),
        ("prompt/openai/gpt-4.1", Place.PROMPT),
        ("prompt/endpoint/mine", Place.PROMPT),
    ],
)
def test_places(model: str, place: Place) -> None:
    assert place_of(Run(model=model)) == place
    assert place_of(Run(model=model, machine_id=1)) == Place.AWAY


def test_names_at_the_service() -> None:
    assert provider_name("prompt/together/Qwen/Qwen3-8B") == provider_name("together/x") == "together"
    assert remote_model("together/Qwen/Qwen3-8B") == remote_model("prompt/together/Qwen/Qwen3-8B")


def test_the_ledger_says_who_keeps_what_to_themselves() -> None:
    ledger = open_ledger({"epochs": 3, "rate": 0.1}, {}, {"epochs": 2})
    back = read_back(ledger, {"epochs": 2, "warm": 5}, "Acme")
    assert back["epochs"]["resolved"] == 2
    assert back["warm"] == {"asked": None, "sent": None, "resolved": 5, "source": "Acme's default"}
    closed = close(back, "Acme", ("LoRA rank", "epochs"))
    assert [row.resolved for row in show(closed, {}, True)] == [
        "2", "not disclosed by Acme", "5", "not disclosed by Acme",
    ]  # fmt: skip
    # What is said later, on a second reading, counts.
    again = close(read_back(closed, {"rate": 0.1}, "Acme"), "Acme", ("LoRA rank",))
    assert "undisclosed_by" not in again["rate"]
    assert len(again) == 4


def test_a_killed_workers_log_lines_are_not_kept_twice(tmp_path: Path) -> None:
    size = append_log(tmp_path, 0, ["one", "two"])
    append_log(tmp_path, size, ["three, whose size was never noted"])
    assert append_log(tmp_path, size, ["three", "four"]) == len("one\ntwo\nthree\nfour\n")
    assert (tmp_path / "out" / "log.txt").read_text() == "one\ntwo\nthree\nfour\n"


def test_raw_answers_are_kept_without_the_key(tmp_path: Path) -> None:
    access = Access("Acme", "https://acme.example/v1", "sk-secret")
    for number in range(3):
        write_raw(tmp_path, {"number": number, "echo": "Bearer sk-secret"}, access)
    first, last = (
        json.loads((tmp_path / "service" / f"job-{name}.json").read_text()) for name in ("first", "last")
    )
    assert (first["number"], last["number"]) == (0, 2)
    assert last["echo"] == "Bearer [key]"
    write_raw(tmp_path, {"big": "x" * 3_000_000}, access)
    assert (tmp_path / "service" / "job-last.json").stat().st_size < 1000


def test_curves_as_a_file(tmp_path: Path) -> None:
    write_curves(tmp_path, [("loss", 2, 0.5), ("loss", 1, 1.0), ("learning_rate", 1, 0.1)])
    lines = (tmp_path / "out" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [
        {"step": 1, "loss": 1.0, "learning_rate": 0.1},
        {"step": 2, "loss": 0.5},
    ]


def test_points_that_are_no_numbers_are_left_out() -> None:
    points = [Point("loss", 1, 1.0), Point("loss", 2, float("nan")), Point("mood", 3, 1.0)]
    assert good_points(points) == [("loss", 1, 1.0)]


def test_pauses_grow_and_end() -> None:
    pauses = [pause_seconds(failures) for failures in range(40)]
    assert pauses == sorted(pauses)
    assert pauses[-1] == 300
