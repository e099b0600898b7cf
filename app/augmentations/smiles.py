"""Randomised SMILES: the same molecules written from another atom on (Bjerrum 2017, arXiv 1703.07076).

Needs RDKit, which is optional: `pip install tunebook[chemistry]`.
"""

from collections.abc import Mapping
from importlib import util
from random import Random
from typing import Any

from app.augmentations._base import Augmentation
from app.hyperparameters import Hyperparameter
from app.patterns import compiled

FIELDS = (
    Hyperparameter(
        "pattern", "Where SMILES stand", "text", r"[A-Za-z0-9@+\-\[\]()\\/%=#$.]{5,}",
        "A regular expression; its first group, or the whole match, is taken for a SMILES if RDKit reads it.",
    ),
)  # fmt: skip


def rewrite(text: str, parameters: Mapping[str, Any], chance: Random) -> str:
    """The text with every SMILES that the pattern finds written anew; what RDKit cannot read stays."""

    def other(found: Any) -> str:
        group = 1 if found.re.groups and found[1] else 0
        start, end = found.start(group) - found.start(), found.end(group) - found.start()
        return found[0][:start] + _other_form(found[group], chance) + found[0][end:]

    return str(compiled(parameters["pattern"]).sub(other, text))


def _other_form(smiles: str, chance: Random) -> str:
    from rdkit import Chem, rdBase

    with rdBase.BlockLogs():
        molecule = Chem.MolFromSmiles(smiles)
    if molecule is None or molecule.GetNumAtoms() < 2:
        return smiles
    # The order of the atoms is drawn here, so that the form depends on our seed alone.
    order = list(range(molecule.GetNumAtoms()))
    chance.shuffle(order)
    return str(Chem.MolToSmiles(Chem.RenumberAtoms(molecule, order), canonical=False))


def missing() -> str:
    """What to install."""
    if util.find_spec("rdkit"):
        return ""
    return (
        "Randomised SMILES need RDKit, which is not installed: pip install rdkit, then start Tunebook again"
    )


def check(parameters: Mapping[str, Any]) -> None:
    """The pattern must be a regular expression."""
    try:
        compiled(parameters["pattern"])
    except ValueError as error:
        raise ValueError(f"the pattern is no regular expression: {error}") from None
    if not parameters["pattern"]:
        raise ValueError("the pattern must not be empty")


AUGMENTATION = Augmentation(
    "smiles",
    "Randomised SMILES",
    "the same molecules, each SMILES written from another atom on; needs RDKit",
    FIELDS,
    rewrite,
    missing,
    check,
)
