"""Writes protocol buffer messages by hand, so that no library of that name is needed. Used by tensorboard.py, wandb.py.

Each function gives one field's bytes; a message is its fields joined.
"""

import struct

VARINT, DOUBLE, BYTES, FLOAT = 0, 1, 2, 5


def whole(number: int, value: int) -> bytes:
    """An int32, int64, bool or enum."""
    return varint(number << 3 | VARINT) + varint(value & 0xFFFFFFFFFFFFFFFF)


def double(number: int, value: float) -> bytes:
    """A double."""
    return varint(number << 3 | DOUBLE) + struct.pack("<d", value)


def single(number: int, value: float) -> bytes:
    """A float."""
    return varint(number << 3 | FLOAT) + struct.pack("<f", value)


def data(number: int, value: bytes | str) -> bytes:
    """A string, bytes, or a message inside."""
    encoded = value.encode("utf-8") if isinstance(value, str) else value
    return varint(number << 3 | BYTES) + varint(len(encoded)) + encoded


def varint(value: int) -> bytes:
    """A number of 0 and more, seven bits a byte."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
