"""Which rows go into which batch of an epoch, by seed alone, and their share among several devices. For hub_trainer.py."""

import math
import random
from bisect import bisect_left, insort
from collections.abc import Callable, Iterator, Sequence
from typing import Any

# Rows of like length go together within so many batches: all rows of a small data set, still a mix of a large one.
SORTED_BATCHES = 64
# A pack is the rows that stand in one row of the longest length; without packing it is one row alone.
Pack = list[int]


def epoch_plan(lengths: Sequence[int], values: dict[str, Any], seed: int, epoch: int) -> list[list[Pack]]:
    """The batches of an epoch, each of `batch_size` packs; a function of its arguments, so that a resumed run sees what
    the first would have seen. Every epoch has as many batches."""
    chance, size = random.Random(f"{seed}/{epoch}"), values["batch_size"]
    order = list(range(len(lengths)))
    if not values["shuffle"]:
        packs = (
            _in_order(order, lengths, values["max_seq_len"])
            if values["packing"]
            else [[row] for row in order]
        )
        return _batches(packs, size)
    chance.shuffle(order)
    if values["packing"]:
        packs = _best_fit(order, lengths, values["max_seq_len"])
        chance.shuffle(packs)
        return _batches(packs, size)
    if values["group_by_length"]:
        block = size * SORTED_BATCHES
        blocks = [order[at : at + block] for at in range(0, len(order), block)]
        order = [row for rows in blocks for row in sorted(rows, key=lengths.__getitem__)]
    batches = _batches([[row] for row in order], size)
    if values["group_by_length"]:
        chance.shuffle(batches)
    return batches


def _batches(packs: list[Pack], size: int) -> list[list[Pack]]:
    return [packs[at : at + size] for at in range(0, len(packs), size)]


def _in_order(order: list[int], lengths: Sequence[int], room: int) -> list[Pack]:
    packs: list[Pack] = []
    left = 0
    for row in order:
        if lengths[row] > left:
            packs.append([])
            left = room
        packs[-1].append(row)
        left -= lengths[row]
    return packs


def _best_fit(order: list[int], lengths: Sequence[int], room: int) -> list[Pack]:
    """Best fit decreasing: the longest row first, each where the least room is left after it."""
    packs: list[Pack] = []
    rooms: list[tuple[int, int]] = []
    for row in sorted(order, key=lengths.__getitem__, reverse=True):
        place = bisect_left(rooms, (lengths[row], -1))
        left, number = rooms.pop(place) if place < len(rooms) else (room, len(packs))
        if number == len(packs):
            packs.append([])
        packs[number].append(row)
        insort(rooms, (left - lengths[row], number))
    return packs


def share(values: dict[str, Any]) -> tuple[int, int]:
    """(packs at once, batches a step) of each of `devices` devices, so that one step is over the same items as on one.

    Raises ValueError with a sentence when a step cannot be divided.
    """
    size, steps, devices = values["batch_size"], values["gradient_accumulation"], values["devices"]
    each = size * steps // devices
    at_once = min(size, each)
    if each * devices != size * steps or size % max(1, at_once) or each % max(1, at_once):
        raise ValueError(
            f"A step of {size} x {steps} items cannot be shared by {devices} devices: batch size times gradient "
            f"accumulation must be a multiple of {devices}"
        )
    return at_once, each // at_once


def dealt(plan: list[list[Pack]], at_once: int, devices: int, device: int) -> list[list[int]]:
    """The rows of each batch of one device; [] where the others still have something and this one has not."""
    most = max(map(len, plan))
    pieces = [batch[at : at + at_once] for batch in plan for at in range(0, most, at_once)]
    while pieces and devices == 1 and not pieces[-1]:
        pieces.pop()
    pieces += [[]] * (-len(pieces) % devices)
    return [[row for pack in piece for row in pack] for piece in pieces[device::devices]]


def steps_per_epoch(lengths: Sequence[int], values: dict[str, Any], seed: int) -> int:
    """Optimizer steps of one epoch."""
    return math.ceil(len(epoch_plan(lengths, values, seed, 0)) / values["gradient_accumulation"])


class Batches:
    """A batch sampler for a DataLoader: the rows of one device's batches in the epoch that `epoch()` says. The number
    behind the last row stands for a batch without anything."""

    def __init__(
        self, lengths: Sequence[int], values: dict[str, Any], seed: int, device: int, epoch: Callable[[], int]
    ) -> None:
        self._lengths, self._values, self._seed, self._device, self._epoch = (
            lengths,
            values,
            seed,
            device,
            epoch,
        )
        self._size = len(self._dealt(0))

    def _dealt(self, epoch: int) -> list[list[int]]:
        plan = epoch_plan(self._lengths, self._values, self._seed, epoch)
        return dealt(plan, share(self._values)[0], self._values["devices"], self._device)

    def __iter__(self) -> Iterator[list[int]]:
        yield from (rows or [len(self._lengths)] for rows in self._dealt(self._epoch()))

    def __len__(self) -> int:
        return self._size
