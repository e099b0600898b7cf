"""What a process writes is read while it is being written: torn lines, odd numbers, missing files."""

from pathlib import Path

import pytest

from app.runs import outputs


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path


def test_nothing_is_there_yet(tmp_path: Path) -> None:
    assert outputs.read_json(tmp_path, "error.json") == {}
    assert outputs.read_list(tmp_path, "preview.json") == []
    assert outputs.read_progress(tmp_path) == outputs.Progress()
    assert outputs.read_exit_code(tmp_path) is None
    assert outputs.read_curves(tmp_path, 0) == ([], 0)
    assert outputs.read_log(tmp_path) == ""
    assert outputs.weights_folder(tmp_path) is None


@pytest.mark.parametrize("text", ["", "{", "[1]", '"x"', "nul", '{"a": 1}{', "\x00"])
def test_half_a_json_file_is_nothing(folder: Path, text: str) -> None:
    (folder / "out" / "resolved.json").write_text(text)
    assert outputs.read_json(folder, "resolved.json") == {}


def test_a_torn_line_is_read_once_it_is_whole(folder: Path) -> None:
    path = folder / "out" / "metrics.jsonl"
    path.write_text('{"step": 1, "loss": 2.5}\n{"step": 2, "lo')
    points, offset = outputs.read_curves(folder, 0)
    assert points == [("loss", 1, 2.5)]
    assert outputs.read_curves(folder, offset) == ([], offset)
    with path.open("a") as file:
        file.write('ss": 1.5, "learning_rate": 0.1}\n')
    points, offset = outputs.read_curves(folder, offset)
    assert points == [("loss", 2, 1.5), ("learning_rate", 2, 0.1)]
    assert offset == path.stat().st_size


def test_lines_that_are_no_points_are_passed_over(folder: Path) -> None:
    lines = [
        "not JSON",
        "[1, 2]",
        '{"loss": 1}',
        '{"step": "1", "loss": 1}',
        '{"step": 1, "loss": NaN}',
        '{"step": 2, "loss": Infinity}',
        '{"step": 3, "loss": true}',
        '{"step": 4, "loss": null, "validation_loss": "x"}',
        '{"step": 5, "loss": 0, "unknown": 7}',
        "",
    ]
    path = folder / "out" / "metrics.jsonl"
    path.write_text("\n".join(lines) + "\n")
    assert outputs.read_curves(folder, 0) == ([("loss", 5, 0.0)], path.stat().st_size)


def test_curves_come_in_pieces_without_loss(folder: Path) -> None:
    steps = 20_000
    path = folder / "out" / "metrics.jsonl"
    path.write_text("".join(f'{{"step": {step}, "loss": {step / 7}}}\n' for step in range(steps)))
    found: list[int] = []
    offset, pieces = 0, 0
    while (piece := outputs.read_curves(folder, offset))[1] != offset:
        found += [step for _, step, _ in piece[0]]
        offset, pieces = piece[1], pieces + 1
    assert found == list(range(steps))
    assert pieces > 1


def test_progress_is_held_inside_its_limits(folder: Path) -> None:
    (folder / "out" / "progress.json").write_text('{"stage": "training", "fraction": 7, "message": null}')
    assert outputs.read_progress(folder) == outputs.Progress("training", 1.0, None, "")


@pytest.mark.parametrize(("text", "code"), [("0\n", 0), (" 75 ", 75), ("", None), ("zero", None)])
def test_exit_code(folder: Path, text: str, code: int | None) -> None:
    (folder / "out" / "exit_code").write_text(text)
    assert outputs.read_exit_code(folder) == code


def test_the_end_of_a_long_log(folder: Path) -> None:
    text = "".join(f"line {number} ä\n" for number in range(50_000))
    (folder / "out" / "log.txt").write_text(text)
    assert outputs.read_log(folder) == text
    assert outputs.read_log(folder, 2) == "line 49998 ä\nline 49999 ä"
