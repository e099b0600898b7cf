"""What must hold for every kind of compute, read from its object and its functions alone; and that each is in the docs."""

import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import app.compute as package
from app.compute._base import Checked, Compute, Found, Status

# This machine has a queue of its own.
NAMES = sorted(
    info.name
    for info in pkgutil.iter_modules(package.__path__)
    if not info.name.startswith("_") and info.name != "local"
)
KINDS: dict[str, Compute] = {name: importlib.import_module(f"app.compute.{name}").COMPUTE for name in NAMES}
CALLS: dict[str, tuple[str, ...]] = {
    "check": ("site",),
    "submit": ("site", "order"),
    "find": ("site", "launch_key"),
    "status": ("site", "handle"),
    "pull": ("site", "handle", "folder"),
    "fetch": ("site", "handle", "folder"),
    "cancel": ("site", "handle"),
    "release": ("site", "handle"),
    "jobs": ("site",),
}
each_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=list(KINDS))


@each_kind
def test_names_and_words(kind: Compute) -> None:
    assert KINDS[kind.name.replace("-", "_")] is kind
    assert re.fullmatch(r"[a-z][a-z0-9_-]*", kind.name)
    assert kind.label
    assert kind.description
    assert kind.deadline_kept_by
    assert kind.poll_seconds > 0
    assert not kind.help_url or kind.help_url.startswith("https://")
    if kind.secret_required:
        assert kind.secret_label
        assert kind.secret_help


@each_kind
def test_fields_can_be_shown_and_filled(kind: Compute) -> None:
    names = [field.name for field in kind.fields]
    assert len(names) == len(set(names))
    for field in kind.fields:
        assert re.fullmatch(r"[a-z][a-z0-9_]*", field.name)
        assert field.label
        assert field.kind in ("text", "int", "choice", "long"), field.name
        assert (field.kind == "choice") == bool(field.choices), field.name
        if field.kind == "choice":
            assert field.default in field.choices, field.name
        if field.kind == "int" and field.default:
            assert int(field.default) >= 0
        assert not re.search("token|password|secret", field.name), "secrets have their own field"


@each_kind
def test_calls_take_what_the_contract_says(kind: Compute) -> None:
    for name, wanted in CALLS.items():
        call: Callable[..., Any] = getattr(kind, name)
        assert tuple(inspect.signature(call).parameters) == wanted, name


@each_kind
def test_calls_give_what_the_contract_says(kind: Compute) -> None:
    given = {name: inspect.signature(getattr(kind, name)).return_annotation for name in CALLS}
    assert given["check"] is Checked
    assert given["status"] is Status
    assert Found in getattr(given["find"], "__args__", ())
    assert Found in getattr(given["jobs"], "__args__", ())
    for name in ("pull", "fetch", "cancel", "release"):
        assert given[name] is None, name


@each_kind
def test_what_costs_money_says_so(kind: Compute) -> None:
    """A place that is paid has a key of its own, and its deadline is kept by somebody else than Tunebook."""
    if not kind.paid:
        return
    assert kind.secret_required or kind.name == "skypilot", "it keeps the keys of clouds itself"
    assert len(kind.deadline_kept_by) > 20
    assert kind.unverified, "nobody has paid for trying it"


@each_kind
def test_it_stands_in_the_docs(kind: Compute) -> None:
    text = (Path(__file__).parents[2] / "docs" / "compute.md").read_text(encoding="utf-8")
    assert re.search(rf"^## {re.escape(kind.label)}$", text, re.MULTILINE), kind.label
