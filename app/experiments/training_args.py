"""Reads training_args.bin of a Transformers training without running anything in it. Pure; called by adopted_facts.py.

The file is a zip with a pickle. Its opcodes are read as data, one after the other: names of classes stay names, calls stay
unmade. What is wanted are the plain values that were set on the one object.
"""

import io
import pickletools
import zipfile
from typing import Any

LARGEST = 4 * 1024 * 1024
# Opcodes whose argument is the value.
PLAIN = {
    "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "UNICODE", "BININT", "BININT1", "BININT2", "INT", "LONG", "LONG1",
    "BINFLOAT", "FLOAT", "BINBYTES", "SHORT_BINBYTES",
}  # fmt: skip
FIXED = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
GETS, PUTS = ("BINGET", "LONG_BINGET", "GET"), ("BINPUT", "LONG_BINPUT", "PUT")
MARK = object()


class _Made:
    """Something that the pickle would make by a call: its first argument says enough of an enum, the state of an object."""

    def __init__(self, arguments: Any) -> None:
        self.arguments: Any = arguments
        self.state: dict[Any, Any] = {}


def read_training_args(data: bytes) -> dict[str, Any]:
    """The plain values (text, numbers, yes and no) by their names; {} for a file that is not understood."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            [name] = [each for each in archive.namelist() if each.endswith("data.pkl")]
            if archive.getinfo(name).file_size > LARGEST:
                return {}
            made = _read(archive.read(name))
    except (zipfile.BadZipFile, ValueError, KeyError, IndexError, TypeError, AttributeError):
        return {}
    state = made.state if isinstance(made, _Made) else {}
    found = {name: _plain(value) for name, value in state.items() if isinstance(name, str)}
    return {name: value for name, value in found.items() if isinstance(value, str | int | float | bool)}


def _plain(value: Any) -> Any:
    """An enum is made from its one value."""
    if isinstance(value, _Made) and isinstance(value.arguments, tuple) and len(value.arguments) == 1:
        return value.arguments[0]
    return value


def _read(data: bytes) -> Any:
    stack: list[Any] = []
    memo: dict[int, Any] = {}
    for opcode, argument, _ in pickletools.genops(data):
        name = opcode.name
        if name == "STOP":
            return stack.pop()
        if name in PUTS:
            memo[int(str(argument))] = stack[-1]
        elif name == "MEMOIZE":
            memo[len(memo)] = stack[-1]
        elif name in GETS:
            stack.append(memo[int(str(argument))])
        else:
            _step(name, argument, stack)
    raise ValueError("the pickle has no end")


def _step(name: str, argument: Any, stack: list[Any]) -> None:
    if name in PLAIN or name == "GLOBAL":
        stack.append(argument)
    elif name in FIXED:
        stack.append(FIXED[name])
    elif name == "MARK":
        stack.append(MARK)
    elif name in ("EMPTY_DICT", "EMPTY_LIST", "EMPTY_TUPLE", "EMPTY_SET"):
        stack.append({"EMPTY_DICT": {}, "EMPTY_LIST": [], "EMPTY_TUPLE": (), "EMPTY_SET": []}[name])
    elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
        count = int(name[-1])
        stack[-count:] = [tuple(stack[-count:])]
    elif name in ("REDUCE", "NEWOBJ", "STACK_GLOBAL"):
        arguments = stack.pop()
        stack[-1] = arguments if name == "STACK_GLOBAL" else _Made(arguments)
    elif name in ("TUPLE", "DICT", "LIST", "SETITEMS", "APPENDS", "ADDITEMS"):
        _marked(name, stack)
    elif name in ("SETITEM", "APPEND", "BUILD"):
        _one(name, stack)
    elif name not in ("PROTO", "FRAME"):
        raise ValueError(f"{name} is not expected here")


def _marked(name: str, stack: list[Any]) -> None:
    """Opcodes that take everything above the last mark."""
    at = len(stack) - 1 - next(place for place, each in enumerate(reversed(stack)) if each is MARK)
    values = stack[at + 1 :]
    del stack[at:]
    pairs = dict(zip(values[::2], values[1::2], strict=True)) if name in ("DICT", "SETITEMS") else {}
    if name == "TUPLE":
        stack.append(tuple(values))
    elif name == "LIST":
        stack.append(values)
    elif name == "DICT":
        stack.append(pairs)
    elif name == "SETITEMS":
        stack[-1].update(pairs)
    else:
        stack[-1].extend(values)


def _one(name: str, stack: list[Any]) -> None:
    value = stack.pop()
    if name == "SETITEM":
        key = stack.pop()
        stack[-1][key] = value
    elif name == "APPEND":
        stack[-1].append(value)
    elif isinstance(stack[-1], _Made) and isinstance(value, dict):
        stack[-1].state = value
