"""Files that a kill may leave half written, and texts of messages."""

import json
from pathlib import Path

import pytest

from workers.training.failures import Failure, explain
from workers.training.files import append_lines, cut_torn_line, read_lines, write_folder, write_json
from workers.training.job import answer_text, plain_chat, prompt_text
from workers.training.predictions import PredictionFile, line


def test_numbers_that_json_lacks_become_null(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"x": float("nan"), "y": [float("-inf"), 1.5]})
    assert json.loads((tmp_path / "a.json").read_text()) == {"x": None, "y": [None, 1.5]}


@pytest.mark.parametrize("cut", range(1, 12))
def test_a_torn_line_is_cut_and_the_next_starts_clean(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "rows.jsonl"
    append_lines(path, [{"a": 1}, {"b": "ü"}])
    path.write_bytes(path.read_bytes()[:-cut])
    cut_torn_line(path)
    append_lines(path, [{"c": 3}])
    assert read_lines(path) == [{"a": 1}, {"c": 3}]


def test_a_folder_is_whole_or_not_there(tmp_path: Path) -> None:
    def breaks(folder: Path) -> None:
        (folder / "half").write_text("x")
        raise OSError("the disk went away")

    with pytest.raises(OSError):
        write_folder(tmp_path / "model", breaks)
    assert not (tmp_path / "model").exists()
    write_folder(tmp_path / "model", lambda folder: (folder / "whole").write_text("x") and None)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_predictions_go_on_after_a_torn_line_and_none_is_doubled(tmp_path: Path) -> None:
    rows = [{"item": f"i{number}", "number": number} for number in range(4)]
    first = PredictionFile(tmp_path)
    first.add(line(row, "a") for row in (rows[2], rows[0]))
    with first.path.open("a") as file:
        file.write('{"item": "i1", "num')
    second = PredictionFile(tmp_path)
    assert second.done == {0, 2}
    second.add(line(row, "b") for row in rows)
    second.finish(rows)
    found = read_lines(second.path)
    assert [row["number"] for row in found] == [0, 1, 2, 3]
    assert [row["answer"] for row in found] == ["a", "b", "a", "b"]


def test_messages_as_text() -> None:
    call = {"function": {"name": "mix", "arguments": '{"a": 1}'}}
    assert answer_text({"role": "assistant", "content": "x"}) == "x"
    written = '[{"arguments":"{\\"a\\": 1}","name":"mix"}]'
    assert answer_text({"role": "assistant", "tool_calls": [call]}) == written
    assert (
        answer_text({"role": "assistant", "content": "x", "function_call": call["function"]})
        == f"x\n{written}"
    )
    chat = [{"role": "developer", "content": "d"}, {"role": "user", "content": "u"}]
    assert [turn["role"] for turn in plain_chat(chat)] == ["system", "user"]
    assert prompt_text(chat) == "u"
    assert prompt_text(chat[:1]) == "d"


def test_every_failure_has_a_sentence_and_a_hint() -> None:
    assert explain(Failure("What.", "How.")) == ("What.", "How.")
    assert "memory" in explain(MemoryError())[0]
    assert (
        "memory" in explain(RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried 9 bytes"))[0]
    )
    assert "peft" in explain(ModuleNotFoundError("No module named 'peft'", name="peft"))[0]
    assert "disk" in explain(OSError(28, "No space left on device"))[0]
    assert explain(ValueError("bad shape\nmore"))[0] == "Training stopped with ValueError: bad shape."
