"""The `tunebook` commands in this process, against a Tunebook that runs: what they print, and with what they end."""

import json
from pathlib import Path
from typing import Any

import pytest
from tunebook import Client, Experiment
from typer.testing import CliRunner

from app.__main__ import main, tunebook
from tests.stack import rule_rows

pytestmark = pytest.mark.laptop


def said(*words: object, ends: int = 0) -> str:
    """What a command writes to standard output."""
    done = CliRunner().invoke(tunebook, [str(word) for word in words], catch_exceptions=False)
    assert done.exit_code == ends, done.output
    return str(done.stdout)


def told(*words: object, ends: int = 0) -> Any:
    """Its JSON."""
    return json.loads(said(*words, "--json", ends=ends))


def test_the_commands_cover_the_way_from_data_to_paper(experiment: Experiment, tmp_path: Path) -> None:
    file = tmp_path / "rule.jsonl"
    file.write_text(rule_rows(50))
    assert told("upload", file, "--name", "second")["parts"] == {"train": 35, "validation": 5, "test": 10}
    assert [each["name"] for each in told("datasets")] == ["second", "rule"]
    assert told("split", 2, "--seed", 5, "--test", 0.2)["counts"]["test"] == 10
    assert len(told("splits", 2)) == 2
    assert [each["id"] for each in told("models", "major")] == ["baseline/majority"]
    assert "ngram_max" in said("model", "baseline/tfidf-linear")

    grid = "baseline/tfidf-linear C=1;30 ngram_max=2"
    plan = told("launch", 2, "--model", grid, "--dry-run")
    assert plan["runs"] == 2
    assert plan["models"][0]["hyperparameters"]["C"] == [1.0, 30.0]
    launched = told("launch", 2, "--model", "baseline/majority", "--launch-key", "twice-is-once", "--wait")
    assert (
        told("launch", 2, "--model", "baseline/majority", "--launch-key", "twice-is-once")["id"]
        == launched["id"]
    )
    assert told("wait", launched["id"])["runs"][0]["state"] == "done"
    assert len(told("experiments")) == 2
    assert len(told("runs", "--best", "accuracy", "--limit", 1)) == 1

    assert told("run", 1)["scores"][0]["value"] == 0.3
    assert "Run(1, 'baseline/majority', done" in said("run", 1)
    assert [each["value"] for each in told("scores", 1, "--metric", "accuracy")] == [0.3]
    lines = said("predictions", 1, "--json").splitlines()
    assert json.loads(lines[0])["expected"] == "base"

    answers = tmp_path / "answers.jsonl"
    rows = [{"line": each["line"], "answer": each["expected"]} for each in map(json.loads, lines)]
    answers.write_text("".join(f"{json.dumps(each)}\n" for each in rows))
    imported = told("import-predictions", 1, answers, "--model", "oracle")
    assert imported["scores"][0]["value"] == 1.0
    tests = told("compare", imported["id"], 1)
    assert tests[0]["difference"] == pytest.approx(0.7)

    folder = tmp_path / "lora"
    (folder / "checkpoint-20").mkdir(parents=True)
    (folder / "adapter_config.json").write_text('{"r": 8, "base_model_name_or_path": "a/b"}')
    (folder / "optimizer.pt").write_text("is left where it is")
    history = [{"step": 20, "loss": 0.5}]
    (folder / "checkpoint-20" / "trainer_state.json").write_text(json.dumps({"log_history": history}))
    given = ("--experiment", 1, "--name", "cluster", "--predictions", answers)
    adopted = told("adopt", folder, *given)
    assert {line["name"]: line["source"] for line in adopted["ledger"]} == {"lora_r": "adapter_config.json"}
    assert Client().run(adopted["id"]).curves() == {"loss": [(20, 0.5)]}

    for words in (
        ("figure", "scores", f"1,{imported['id']}", "--out", tmp_path / "scores.pdf"),
        ("bundle", f"1,{imported['id']}", "--out", tmp_path / "paper.zip"),
        ("export", 1, "bundle", "--out", tmp_path),
        ("export", 1, "model-card", "--out", tmp_path / "card.md"),
    ):
        made = Path(said(*words).strip())
        assert made.parent == tmp_path
        assert made.stat().st_size > 500


@pytest.mark.parametrize(
    ("environment", "words", "ends", "message"),
    [
        ({"TUNEBOOK_URL": "http://127.0.0.1:1"}, ["runs"], 3, "No Tunebook answers at http://127.0.0.1:1"),
        ({"TUNEBOOK_TOKEN": "tb_unknown"}, ["runs"], 3, "The API token is unknown"),
        ({}, ["run", "99"], 1, "There is no run 99 here"),
        ({}, ["wait", "99"], 1, "There is no experiment 99 here"),
        ({}, ["export", "99", "weights"], 1, "There is no run 99 here"),
    ],
)
def test_failures_end_with_their_number(
    lab: Client,
    environment: dict[str, str],
    words: list[str],
    ends: int,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("tunebook._wire.TRIES", 1)
    monkeypatch.setattr("app.client._wire.TRIES", 1)
    monkeypatch.setattr("sys.argv", ["tunebook", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == ends
    assert message in capsys.readouterr().err
