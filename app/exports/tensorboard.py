"""A run as TensorBoard event file: curves and scores as scalars, the ledger for its tab "HParams". Used by kinds.py."""

import math
import struct
import zipfile
from collections.abc import Iterator
from typing import Any

from app.db import session_scope
from app.exports.protobuf import data, double, single, whole
from app.exports.tracked import Tracked, tracked
from app.exports.work import Made, Work

# The plugin's own tags and numbers (tensorboard/plugins/hparams/plugin_data.proto).
START, END, VERSION, SUCCESS = "_hparams_/session_start_info", "_hparams_/session_end_info", 0, 1
# A tensor of one float, 0: what carries a summary that is all metadata.
NOTHING = whole(1, 1) + data(2, data(2, whole(1, 1))) + single(5, 0.0)
ZIP_TIME = (1980, 1, 1, 0, 0, 0)


def make_tensorboard(work: Work) -> Made:
    """A zip with one folder, the run; unpacked below a log folder, `tensorboard --logdir` shows it."""
    with session_scope(write=False) as session:
        run = tracked(session, work.export, work.run)
    name = f"events.out.tfevents.{int(run.started_at.timestamp())}.tunebook.{run.run_id}"
    place = zipfile.ZipInfo(f"{run.name}/{name}", ZIP_TIME)
    with zipfile.ZipFile(work.target, "w", zipfile.ZIP_DEFLATED) as archive, archive.open(place, "w") as file:
        for event in events(run):
            file.write(framed(event))
    return Made(f"{run.name}-tensorboard.zip")


def events(run: Tracked) -> Iterator[bytes]:
    """Each event as its message's bytes."""
    start, end = run.started_at.timestamp(), run.ended_at.timestamp()
    yield double(1, start) + data(3, "brain.Event:2")
    yield _event(start, 0, _plugin(START, data(3, _session(run))))
    for step, time, values in run.steps():
        yield _event(time, step, b"".join(_scalar(name, value) for name, value in values.items()))
    if run.scores:
        yield _event(end, run.last_step, b"".join(_scalar(name, value) for name, value in run.scores.items()))
    yield _event(end, 0, _plugin(END, data(4, whole(1, SUCCESS) + double(2, end))))


def _event(time: float, step: int, summary: bytes) -> bytes:
    return double(1, time) + whole(2, step) + data(5, summary)


def _scalar(name: str, value: float) -> bytes:
    return data(1, data(1, name) + single(2, _float(value)))


def _float(value: float) -> float:
    """What fits into 32 bits; larger numbers become infinite, as they do in every writer."""
    try:
        struct.pack("<f", value)
    except OverflowError:
        return math.copysign(math.inf, value)
    return value


def _plugin(tag: str, content: bytes) -> bytes:
    plugin = data(1, "hparams") + data(2, whole(1, VERSION) + content)
    return data(1, data(1, tag) + data(8, NOTHING) + data(9, data(1, plugin)))


def _session(run: Tracked) -> bytes:
    entries = {**run.params, **run.about}
    params = b"".join(data(1, data(1, name) + data(2, _value(value))) for name, value in entries.items())
    return params + data(4, run.experiment) + double(5, run.started_at.timestamp())


def _value(value: Any) -> bytes:
    """A google.protobuf.Value."""
    if isinstance(value, bool):
        return whole(4, int(value))
    if isinstance(value, int | float):
        return double(2, float(value))
    return data(3, "" if value is None else str(value))


def framed(record: bytes) -> bytes:
    """A TFRecord: length, its checksum, the bytes, their checksum."""
    length = struct.pack("<Q", len(record))
    return length + struct.pack("<I", masked(length)) + record + struct.pack("<I", masked(record))


def masked(content: bytes) -> int:
    """The CRC-32C that TFRecords carry, turned and moved."""
    crc = 0xFFFFFFFF
    for byte in content:
        crc = TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _table() -> tuple[int, ...]:
    found = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
        found.append(crc)
    return tuple(found)


TABLE = _table()
