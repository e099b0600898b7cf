"""A run as an offline folder of Weights & Biases, which `wandb sync` sends to an account. Used by kinds.py.

Its .wandb file is a log of messages (wandb_internal.proto) in LevelDB's log format.
"""

import json
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from app.db import session_scope
from app.exports.protobuf import data, whole
from app.exports.tracked import Tracked, tracked
from app.exports.work import Made, Work

HEADER = struct.pack("<4sHB", b":W&B", 0xBEE1, 0)
BLOCK, HEAD = 32768, 7
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4
# Field numbers of the messages.
HISTORY, SUMMARY, RUN, EXIT, FINAL, VERSIONS, FOOTER = 2, 3, 17, 18, 20, 21, 22
KEY, VALUE = 1, 16
# The writer whose format this is, and the oldest reader that knows it.
PRODUCER, OLDEST = "0.19.0", "0.10.0"
ZIP_TIME = (1980, 1, 1, 0, 0, 0)


def make_wandb(work: Work) -> Made:
    """A zip with the folder offline-run-<time>-<id>: unpack it below wandb/, then `wandb sync` that folder."""
    with session_scope(write=False) as session:
        run = tracked(session, work.export, work.run)
    id = run_id(run)
    folder = f"offline-run-{run.started_at:%Y%m%d_%H%M%S}-{id}"
    config = {name: {"value": value} for name, value in _config(run).items()}
    files = {
        f"run-{id}.wandb": wandb_file(run),
        "files/config.yaml": yaml.safe_dump({"wandb_version": 1, **config}, sort_keys=False).encode(),
        "files/wandb-summary.json": json.dumps(summary(run)).encode(),
    }
    with zipfile.ZipFile(work.target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(f"{folder}/{name}", ZIP_TIME), content)
    return Made(f"{run.name}-wandb.zip")


def run_id(run: Tracked) -> str:
    """The run's id there: our launch key, so that the same run is the same run when it is sent again."""
    return re.sub(r"[^a-z0-9]", "", run.key.lower())[:64]


def summary(run: Tracked) -> dict[str, Any]:
    """The last value of every curve, and the scores."""
    last: dict[str, Any] = {}
    for _, _, values in run.steps():
        last |= values
    return {**last, **run.scores, "_step": run.last_step}


def wandb_file(run: Tracked) -> bytes:
    """The .wandb file."""
    out = bytearray(HEADER)
    for number, message in enumerate(_messages(run)):
        append(out, whole(1, number) + message)
    return bytes(out)


def append(log: bytearray, record: bytes) -> None:
    """One record of a LevelDB log, in pieces where it does not fit into the block."""
    begun = False
    while True:
        room = BLOCK - len(log) % BLOCK
        if room < HEAD:
            log += bytes(room)
            room = BLOCK
        piece, record = record[: room - HEAD], record[room - HEAD :]
        kind = (MIDDLE if record else LAST) if begun else (FIRST if record else FULL)
        crc = zlib.crc32(piece, zlib.crc32(bytes([kind])))
        log += struct.pack("<IHB", crc, len(piece), kind) + piece
        begun = True
        if not record:
            return


def _messages(run: Tracked) -> Iterator[bytes]:
    start, seconds = run.started_at.timestamp(), (run.ended_at - run.started_at).total_seconds()
    yield data(VERSIONS, data(1, data(1, PRODUCER) + data(2, OLDEST)))
    yield data(RUN, _run(run, int(start)))
    for step, time, values in run.steps():
        told = {**values, "_step": step, "_timestamp": time, "_runtime": time - start}
        yield data(HISTORY, _items(told) + data(2, whole(1, step)))
    yield data(SUMMARY, _items(summary(run)))
    yield data(EXIT, whole(1, 0) + whole(2, int(seconds)))
    yield data(FINAL, b"")
    yield data(FOOTER, b"")


def _run(run: Tracked, start: int) -> bytes:
    project = re.sub(r"[^\w.-]+", "-", run.experiment, flags=re.ASCII).strip("-")[:100] or "tunebook"
    return (
        data(1, run_id(run))
        + data(3, project)
        + data(4, _items(_config(run)))
        + data(8, run.name)
        + data(10, "tunebook")
        + data(17, whole(1, start))
    )


def _config(run: Tracked) -> dict[str, Any]:
    return {**run.params, **run.about, "tunebook_run": run.run_id}


def _items(values: Mapping[str, Any]) -> bytes:
    return b"".join(
        data(1, data(KEY, name) + data(VALUE, json.dumps(value))) for name, value in values.items()
    )
