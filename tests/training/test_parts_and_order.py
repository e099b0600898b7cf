"""What a run predicts beside the test part, and the order in which it trains."""

import json
from pathlib import Path

import pytest

from tests.training.bundles import bundle, finish, job, read, values_of
from workers.training.starter_training import epoch_batches


def test_validation_is_predicted_where_it_is_chosen_on(tmp_path: Path) -> None:
    wanted = job("baseline/nearest", values_of("baseline/nearest"), predict=("validation", "test"))
    folder = bundle(tmp_path / "run", wanted, validation=12)
    assert finish(folder) == 0
    for part, name in (("validation", "predictions-validation.jsonl"), ("test", "predictions.jsonl")):
        rows = [json.loads(line) for line in (folder / f"{part}.jsonl").read_text().splitlines()]
        assert [line["number"] for line in read(folder, name)] == [row["number"] for row in rows]
    right = sum(
        line["answer"] == json.loads(row)["messages"][-1]["content"]
        for line, row in zip(
            read(folder, "predictions-validation.jsonl"),
            (folder / "validation.jsonl").read_text().splitlines(),
            strict=True,
        )
    )
    assert right > 6


def test_validation_is_left_alone_otherwise(tmp_path: Path) -> None:
    folder = bundle(tmp_path / "run", job("baseline/majority", values_of("baseline/majority")), validation=12)
    assert finish(folder) == 0
    assert not (folder / "out" / "predictions-validation.jsonl").exists()


def test_without_shuffling_rows_come_in_the_order_of_the_file() -> None:
    lengths = [number * 5 % 11 for number in range(20)]
    plain = [list(range(8)), list(range(8, 16)), list(range(16, 20))]
    for epoch in (0, 1):
        assert epoch_batches(lengths, 8, 1, epoch, shuffle=False) == plain
    assert epoch_batches(lengths, 8, 1, 0) != plain


@pytest.mark.train
def test_the_starter_says_how_it_ordered_and_predicts_both_parts(tmp_path: Path) -> None:
    values = values_of("starter/tiny", epochs=1, shuffle=False, max_seq_len=64, vocabulary=300)
    wanted = job("starter/tiny", values, predict=("validation", "test"))
    folder = bundle(tmp_path / "run", wanted, train=32, validation=6, test=6)
    assert finish(folder) == 0
    assert read(folder, "resolved.json")["hyperparameters"]["shuffle"] is False
    assert len(read(folder, "predictions-validation.jsonl")) == len(read(folder, "predictions.jsonl")) == 6
    assert all(line["p"] for line in read(folder, "predictions-validation.jsonl"))
