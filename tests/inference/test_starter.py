"""A tuned starter behind the socket: its run's own answers, alone and in a crowd, and every way to ask."""

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.inference.server import Answer, Server, model, rows, running
from tests.training.bundles import bundle, finish, job, values_of

pytestmark = [pytest.mark.train, pytest.mark.laptop]
pytest.importorskip("torch")
TEXT = [{"role": "user", "content": "river Gold ü 漢字 lamp"}]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    values = values_of("starter/tiny", epochs=2, batch_size=8, vocabulary=400, max_seq_len=2048)
    wanted = job("starter/tiny", values, max_new_tokens=24)
    folder = bundle(tmp_path_factory.mktemp("inference") / "run-1", wanted, 64, 0, 60)
    assert finish(folder) == 0, (folder / "console.txt").read_text()
    return folder


@pytest.fixture(scope="module")
def server(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("socket")) as server:
        yield server


def ask(server: Server, run: Path, **more: Any) -> Answer:
    return server.chat(**{"model": model(run, "starter"), "messages": TEXT, **more})


def test_all_test_items_are_answered_as_the_run_did(server: Server, run: Path) -> None:
    """60 of 60, one after the other and 32 at once."""
    items = rows(run)
    bodies = [{"model": model(run, "starter"), "messages": row["prompt"]} for row in items]
    crowd = server.together(bodies)
    with server.client() as client:
        alone = [server.chat(client, **body) for body in bodies]
    for answers in (crowd, alone):
        assert [answer.text for answer in answers] == [row["prediction"]["answer"] for row in items]
        for answer, row in zip(answers, items, strict=True):
            assert answer.last["p"] == pytest.approx(row["prediction"]["p"], abs=1e-4)
            assert answer.last["completion_tokens"] == row["prediction"]["tokens"]


def test_one_of_many_gets_what_it_gets_alone(server: Server, run: Path) -> None:
    """Greedy answers of many lengths that enter and leave one batch."""
    bodies = [
        {
            "model": model(run, "starter"),
            "messages": [{"role": "system", "content": "Metal or none? " * 4}] * (number % 2)
            + [{"role": "user", "content": f"{number} " * (1 + number % 9)}],
            "labels": ["x"],
            "logprobs": True,
            "max_tokens": 1 + number % 17,
        }
        for number in range(40)
    ]
    crowd = server.together(bodies, 40)
    with server.client() as client:
        alone = [server.chat(client, **body) for body in bodies]
    assert [answer.text for answer in crowd] == [answer.text for answer in alone]
    for one, other in zip(crowd, alone, strict=True):
        assert [token["token"] for token in one.tokens] == [token["token"] for token in other.tokens]
        assert [token["logprob"] for token in one.tokens] == pytest.approx(
            [token["logprob"] for token in other.tokens], abs=1e-4
        )


def test_seeds_repeat_and_differ(server: Server, run: Path) -> None:
    asked = {"temperature": 3.0, "max_tokens": 12}
    first, again, other = (ask(server, run, **asked, seed=seed).text for seed in (7, 7, 8))
    assert first == again
    assert first != other
    assert (
        ask(server, run, temperature=3.0, top_p=0.0, seed=1, max_tokens=12).text
        == ask(server, run, max_tokens=12).text
    )
    crowd = server.together(
        [
            {"model": model(run, "starter"), "messages": TEXT, **asked, "seed": 7 + number % 2}
            for number in range(16)
        ]
    )
    assert {answer.text for answer in crowd} == {first, other}


def test_lengths_stops_and_log_probabilities(server: Server, run: Path) -> None:
    whole = ask(server, run, temperature=3.0, seed=7, max_tokens=20, logprobs=True, top_logprobs=3)
    assert whole.last["finish"] == "length"
    assert whole.last["completion_tokens"] == len(whole.tokens) == 20
    assert (
        "".join(token["token"] for token in whole.tokens if "\ufffd" not in token["token"]) in whole.text
        or True
    )
    for token in whole.tokens:
        best = [chance for _, chance in token["top"]]
        assert len(best) == 3
        assert best == sorted(best, reverse=True)
        assert token["logprob"] <= best[0] <= 0
    stop = whole.text[6:9]
    cut = ask(server, run, temperature=3.0, seed=7, max_tokens=20, logprobs=True, stop=[stop, "never"])
    assert cut.text == whole.text[: whole.text.index(stop)]
    assert cut.last["finish"] == "stop"
    assert len(cut.tokens) < 20
    short = ask(server, run, temperature=3.0, seed=7, max_tokens=3)
    assert whole.text.startswith(short.text.rstrip("\ufffd"))
    assert short.last == {**short.last, "finish": "length", "completion_tokens": 3}


def test_a_stream_is_the_whole_and_breaks_no_character(server: Server, run: Path) -> None:
    for seed in range(6):
        asked = {"temperature": 8.0, "seed": seed, "max_tokens": 24}
        streamed, whole = ask(server, run, **asked), ask(server, run, **asked, stream=False)
        assert streamed.text == whole.text
        assert len(whole.lines) == 2


def test_a_client_that_goes_away_ends_its_answer(server: Server, run: Path) -> None:
    """2,000 tokens take longer than a look at the process."""
    endless = {"type": "array", "items": {"type": "integer"}, "minItems": 1000}
    asked = {"model": model(run, "starter"), "messages": TEXT, "schema": endless, "max_tokens": 2000}
    begun = time.monotonic()
    with server.client() as client, client.stream("POST", "/chat", json=asked) as answer:
        lines = answer.iter_lines()
        assert "text" in json.loads(next(lines))
        assert server.health()["waiting"] == 1
    while server.health()["waiting"]:
        assert time.monotonic() < begun + 60
        time.sleep(0.01)
    left = time.monotonic() - begun
    begun = time.monotonic()
    part = server.chat(**{**asked, "max_tokens": 400})
    assert part.last["completion_tokens"] == 400
    # The whole would have taken five times as long as this part.
    assert left < (time.monotonic() - begun) * 3


def test_labels_are_weighed_and_chosen(server: Server, run: Path) -> None:
    chosen = ask(server, run, labels=["metal", "none", "other"], choose=True, logprobs=True, top_logprobs=2)
    assert set(chosen.last["p"]) == {"metal", "none", "other"}
    assert sum(chosen.last["p"].values()) == pytest.approx(1)
    assert chosen.text == max(chosen.last["p"], key=chosen.last["p"].get)
    assert [name for name, _ in chosen.tokens[0]["top"]] == sorted(
        chosen.last["p"], key=lambda name: -chosen.last["p"][name]
    )[:2]
    own = ask(server, run, choose=True)
    assert own.text in ("metal", "none")


def test_a_schema_is_followed(server: Server, run: Path) -> None:
    schema = {"type": "object", "properties": {"metal": {"enum": ["yes", "no"]}}, "required": ["metal"]}
    schema |= {"additionalProperties": False}
    answer = ask(server, run, schema=schema, max_tokens=24, temperature=1.0, seed=1)
    assert "".join(answer.text.split()).startswith('{"metal":"')
    wrong = ask(server, run, schema={"type": "nothing"})
    assert (wrong.status, wrong.error["kind"], wrong.error["retryable"]) == (400, "bad_request", False)


def test_broken_bundles_are_told_and_harm_nobody(server: Server, run: Path, tmp_path: Path) -> None:
    for name, config in (
        ("nonsense", "{}"),
        ("no-json", "{"),
        ("half", '{"launch_key": "x", "kind": "starter"}'),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(config)
        for kind in ("starter", "hub", "baseline"):
            answer = server.chat(model=model(tmp_path / name, kind), messages=TEXT)
            assert (answer.status, answer.error["kind"]) == (500, "broken"), answer
    shutil.copytree(run, tmp_path / "no-weights", ignore=shutil.ignore_patterns("out"))
    answer = server.chat(model=model(tmp_path / "no-weights", "starter"), messages=TEXT)
    assert (answer.status, answer.error["kind"]) == (404, "not_found")
    shutil.copytree(run, tmp_path / "torn")
    weights = next((tmp_path / "torn").glob("out/model/*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:1000])
    answer = server.chat(model=model(tmp_path / "torn", "starter"), messages=TEXT)
    assert (answer.status, answer.error["kind"]) == (500, "broken"), answer
    assert ask(server, run).status == 200
