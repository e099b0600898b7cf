"""Augmentation of train items: what each kind writes, and that only train is ever touched."""

import json
import sys
from random import Random

import pytest
from sqlmodel import Session

from app.augmentations import augmentations, find_augmentation
from app.augmentations._base import rewrites
from app.datasets.stored import StoredItem, part_items
from app.errors import Invalid
from app.lab.actor import Actor
from app.runs.augment import augmented, check_augment, describe_augment
from app.storage import run_folder
from tests.experiments.checked import checked_dataset, finish, first_split, launch

REORDER = {"separator": "\\n", "keep_first": 1, "keep_last": 0}


@pytest.mark.parametrize("name", list(augmentations()))
def test_contract(name: str) -> None:
    kind = find_augmentation(name)
    parameters = {field.name: field.default for field in kind.fields}
    kind.check(parameters)
    assert kind.label
    assert kind.description
    if kind.missing():
        assert "pip install" in kind.missing()
        return
    text = "question\nCC(=O)Oc1ccccc1C(=O)O\nb\nc"
    first, again = (rewrites(kind, text, parameters, 3, Random(7)) for _ in range(2))
    assert first == again
    assert first
    assert text not in first
    assert len(set(first)) == len(first)


def test_reorder_keeps_what_it_should() -> None:
    kind = find_augmentation("reorder")
    made = rewrites(kind, "q\na\nb\nc\nend", {**REORDER, "keep_last": 1}, 5, Random(1))
    assert len(made) == 5
    for text in made:
        lines = text.split("\n")
        assert (lines[0], lines[-1], sorted(lines)) == ("q", "end", ["a", "b", "c", "end", "q"])


def test_a_text_with_few_forms_gives_few_rewrites() -> None:
    kind = find_augmentation("reorder")
    assert rewrites(kind, "q\na\nb", REORDER, 9, Random(1)) == ["q\nb\na"]
    assert rewrites(kind, "one line", REORDER, 9, Random(1)) == []


def item(text: str) -> StoredItem:
    """A train item."""
    prompt = [{"role": "system", "content": "s\nt"}, {"role": "user", "content": text}]
    answer = {"role": "assistant", "content": "yes"}
    return StoredItem(3, 4, "i0123456789ab", None, prompt, "yes", answer, None)


def test_the_last_user_message_changes_and_the_answer_does_not() -> None:
    augment = check_augment({"name": "reorder", "rewrites": "2"})
    whole = list(augmented([item("q\na\nb\nc")], augment))
    assert [one.item_id for one in whole] == ["i0123456789ab", "i0123456789ab~1", "i0123456789ab~2"]
    for one in whole:
        assert one.prompt[0] == {"role": "system", "content": "s\nt"}
        assert (one.answer, one.number, one.line) == ("yes", 3, 4)
    assert len({one.prompt[1]["content"] for one in whole}) == 3
    assert list(augmented([item("q\na\nb\nc")], augment)) == whole
    other = list(augmented([item("q\na\nb\nc\nd\ne")], {**augment, "seed": 2}))
    assert other != list(augmented([item("q\na\nb\nc\nd\ne")], augment))


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"name": "none"}, "There is no augmentation 'none'"),
        ({"name": "reorder", "rewrites": 0}, "whole number from 1 to 50"),
        ({"name": "reorder", "rewrites": "many"}, "whole number from 1 to 50"),
        ({"name": "reorder", "seed": -1}, "the seed is -1"),
        ({"name": "reorder", "parameters": {"speed": 1}}, "no parameter 'speed'"),
        ({"name": "smiles", "parameters": {"pattern": "("}}, "no regular expression"),
    ],
)
def test_what_cannot_be_used_is_explained(asked: dict, said: str) -> None:
    with pytest.raises(Invalid, match=said):
        check_augment(asked)


def test_without_rdkit_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rdkit", None)
    monkeypatch.setattr("app.augmentations.smiles.util.find_spec", lambda name: None)
    with pytest.raises(Invalid, match="pip install rdkit"):
        check_augment({"name": "smiles"})


def test_randomised_smiles_are_the_same_molecule() -> None:
    chem = pytest.importorskip("rdkit.Chem")
    kind = find_augmentation("smiles")
    text = "Is CC(=O)Oc1ccccc1C(=O)O soluble?"
    made = rewrites(kind, text, {field.name: field.default for field in kind.fields}, 4, Random(1))
    assert len(made) == 4
    canonical = chem.CanonSmiles("CC(=O)Oc1ccccc1C(=O)O")
    for one in made:
        assert chem.CanonSmiles(one.removeprefix("Is ").removesuffix(" soluble?")) == canonical


@pytest.mark.laptop
def test_a_run_trains_on_rewrites_and_is_tested_on_the_items_as_they_are(
    session: Session, actor: Actor
) -> None:
    dataset = checked_dataset(session, actor, 30)
    augment = {"name": "reorder", "rewrites": 2}
    experiment, runs = launch(session, actor, dataset, "baseline/nearest", augment=augment)
    assert experiment.augment["parameters"] == {"separator": "\\n", "keep_first": 1, "keep_last": 0}
    (run,) = finish(runs)
    recorded = run.snapshot["augment"]
    assert (recorded["items_before"], recorded["items_after"]) == (21, 63)
    assert recorded["name"] == "reorder"
    folder = run_folder(run.id or 0)
    rows = {
        part: [json.loads(line) for line in (folder / f"{part}.jsonl").read_text().splitlines()]
        for part in ("train", "validation", "test")
    }
    assert [len(rows[part]) for part in rows] == [63, 3, 6]
    split = first_split(session, actor, dataset)
    originals = {one.item_id: one for one in part_items(session, dataset, split, "train")}
    for row in rows["train"]:
        own = originals[row["item"].partition("~")[0]]
        assert row["messages"][-1]["content"] == own.answer
    tested = [one.prompt for one in part_items(session, dataset, split, "test")]
    assert [row["prompt"] for row in rows["test"]] == tested
    assert "Up to 2 rewrites" in describe_augment(experiment.augment)
