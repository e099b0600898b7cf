"""Which rows the built-in trainer puts into which batch, and how devices share them."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.training.hub_rows import Batches, dealt, epoch_plan, share, steps_per_epoch

VALUES: dict[str, Any] = {
    "batch_size": 4, "gradient_accumulation": 2, "shuffle": True, "packing": False, "group_by_length": True,
    "max_seq_len": 64, "devices": 1,
}  # fmt: skip
LENGTHS = st.lists(st.integers(2, 64), min_size=1, max_size=90)
KINDS = st.fixed_dictionaries(
    {name: st.booleans() for name in ("shuffle", "packing", "group_by_length")}
    | {"batch_size": st.integers(1, 9)}
)


def _rows(plan: Sequence[Sequence[Sequence[int]]]) -> list[int]:
    return [row for batch in plan for pack in batch for row in pack]


@given(lengths=LENGTHS, kind=KINDS, epoch=st.integers(0, 5))
def test_an_epoch_has_every_row_once_and_as_many_batches_as_any_other(
    lengths: list[int], kind: dict[str, Any], epoch: int
) -> None:
    values = VALUES | kind
    plan = epoch_plan(lengths, values, 7, epoch)
    assert sorted(_rows(plan)) == list(range(len(lengths)))
    assert len(plan) == len(epoch_plan(lengths, values, 7, 0))
    assert plan == epoch_plan(lengths, values, 7, epoch)
    # One batch may have fewer; it comes at any place.
    assert sum(len(batch) < kind["batch_size"] for batch in plan) <= 1
    for batch in plan:
        for pack in batch:
            assert sum(lengths[row] for row in pack) <= 64
            assert kind["packing"] or len(pack) == 1
    if not kind["shuffle"]:
        assert _rows(plan) == list(range(len(lengths)))


def test_rows_of_like_length_go_together_in_a_new_order_every_epoch() -> None:
    lengths = [2 + number * 37 % 60 for number in range(80)]
    first, second = (epoch_plan(lengths, VALUES, 1, epoch) for epoch in (0, 1))
    assert first != second
    for batch in first:
        found = [lengths[row] for [row] in batch]
        assert max(found) - min(found) <= 3
    shuffled = epoch_plan(lengths, VALUES | {"group_by_length": False}, 1, 0)
    assert (
        max(max(lengths[row] for [row] in batch) - min(lengths[row] for [row] in batch) for batch in shuffled)
        > 20
    )


def test_packs_are_full() -> None:
    lengths = [10, 20, 30, 34, 44, 54] * 10
    plan = epoch_plan(lengths, VALUES | {"packing": True}, 1, 0)
    assert sum(map(len, plan)) == sum(lengths) / 64


@pytest.mark.parametrize(
    ("size", "steps", "devices", "expected"),
    [(8, 2, 1, (8, 2)), (8, 2, 2, (8, 1)), (8, 2, 4, (4, 1)), (8, 2, 16, (1, 1)), (4, 6, 3, (4, 2))],
)
def test_devices_share_a_step(size: int, steps: int, devices: int, expected: tuple[int, int]) -> None:
    values = {"batch_size": size, "gradient_accumulation": steps, "devices": devices}
    assert share(values) == expected


@pytest.mark.parametrize(("size", "steps", "devices"), [(8, 2, 3), (1, 1, 2), (6, 2, 8), (3, 2, 3)])
def test_what_cannot_be_shared_is_said(size: int, steps: int, devices: int) -> None:
    with pytest.raises(ValueError, match=f"cannot be shared by {devices} devices"):
        share({"batch_size": size, "gradient_accumulation": steps, "devices": devices})


@given(lengths=LENGTHS, packing=st.booleans(), devices=st.sampled_from([1, 2, 4, 8]))
def test_a_step_is_over_the_same_rows_on_any_number_of_devices(
    lengths: list[int], packing: bool, devices: int
) -> None:
    values = VALUES | {"packing": packing, "devices": devices}
    plan = epoch_plan(lengths, values, 1, 0)
    at_once, each = share(values)
    mine = [dealt(plan, at_once, devices, device) for device in range(devices)]
    assert len({len(batches) for batches in mine}) == 1
    for step in range(steps_per_epoch(lengths, values, 1)):
        wanted = sorted(_rows(plan[2 * step : 2 * step + 2]))
        assert wanted == sorted(
            row for batches in mine for batch in batches[each * step : each * (step + 1)] for row in batch
        )


def test_a_batch_without_anything_is_the_row_that_stands_for_nothing() -> None:
    batches = Batches([5] * 9, VALUES | {"devices": 2}, 1, 1, lambda: 0)
    assert list(batches)[-1] == [9]
    assert len(batches) == len(list(batches)) == 2
