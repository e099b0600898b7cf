"""Built-in sample datasets, made by the rules below and nothing else: the same bytes on every machine.

Listed by the pages; service.add_sample writes one. Each holds a rule that a model can learn and a person can check.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

ROWS = 1_200
T = TypeVar("T")
Row = tuple[str, str, str]  # question, answer, family


@dataclass(frozen=True)
class Sample:
    """One sample: `data()` makes its JSON Lines bytes; `origin` says how it was made, `sentence` what it is."""

    name: str
    title: str
    sentence: str
    origin: str
    instruction: str
    rows: Callable[[], Iterator[Row]]

    def data(self) -> bytes:
        """The file: OpenAI chat with a `split` key (a tenth to test, a tenth to validation) and a `family`."""
        draw, lines = Draw(f"{self.name} split"), []
        for question, answer, family in self.rows():
            part = ("TEST", "VALIDATION", *["TRAIN"] * 8)[draw.below(10)]
            chat = (("system", self.instruction), ("user", question), ("assistant", answer))
            messages = [{"role": role, "content": text} for role, text in chat]
            row: dict[str, Any] = {"messages": messages, "split": part, "family": family}
            lines.append(json.dumps(row, ensure_ascii=False) + "\n")
        return "".join(lines).encode()


class Draw:
    """A small generator of our own (SHA-256 of a counter): Python's may change between versions."""

    def __init__(self, seed: str) -> None:
        self.seed, self.count = seed, 0

    def below(self, limit: int) -> int:
        """A whole number from 0 to below `limit`."""
        self.count += 1
        digest = hashlib.sha256(f"{self.seed} {self.count}".encode()).digest()
        return int.from_bytes(digest[:8], "big") % limit

    def one_of(self, choices: Sequence[T]) -> T:
        """One of the choices, all alike."""
        return choices[self.below(len(choices))]


BACK, FRONT, ROUND = "aou", "eöü", "ouöü"
ONSETS = ("p", "t", "k", "b", "d", "g", "m", "n", "s", "v", "l", "r", "h", "y", "tr", "kl", "st")
CODAS = ("", "", "", "m", "n", "l", "r", "s", "k", "t", "nd", "rk", "lm")


def plural_of(stem: str) -> str:
    """The plural ending of a Sevrian noun, by the rules told in the sample's origin."""
    word = stem.rpartition("-")[2]
    consonant = "n" if word[-1] in "mn" else "l"
    if "f" in word:
        return f"-{consonant}ar"
    deciding = next((letter for letter in reversed(word) if letter in BACK + FRONT), "e")
    vowels = "öe" if deciding in FRONT else "oa"
    return f"-{consonant}{vowels[0] if deciding in ROUND else vowels[1]}r"


def _nouns() -> Iterator[Row]:
    draw, seen = Draw("sevrian"), set[str]()
    while len(seen) < ROWS:
        kind = draw.one_of(("native", "native", "native", "loan", "compound"))
        stem = _stem(draw, "f" if kind == "loan" else "")
        if kind == "compound":
            stem = f"{_stem(draw, '')}-{stem}"
        if stem not in seen:
            seen.add(stem)
            yield f"Noun: {stem}", plural_of(stem), kind


def _stem(draw: Draw, foreign: str) -> str:
    """Two or three syllables of one harmony, with the neutral vowel i strewn in; a loan mixes freely."""
    harmony = draw.one_of((BACK, FRONT))
    count = 2 + draw.below(2)
    marked = draw.below(count) if foreign else -1
    syllables = []
    for place in range(count):
        onset = foreign if place == marked else draw.one_of(ONSETS)
        pool = BACK + FRONT if foreign else harmony
        vowel = "i" if draw.below(3) == 0 else draw.one_of(pool)
        syllables.append(onset + vowel + (draw.one_of(CODAS) if place == count - 1 else ""))
    return "".join(syllables)


HALOGENS = ("F", "Cl", "Br", "I")


def degrees_of_unsaturation(atoms: dict[str, int]) -> int:
    """Rings plus pi bonds: (2 C + 2 + N − H − halogens) / 2; oxygen and sulfur do not count."""
    monovalent = atoms.get("H", 0) + sum(atoms.get(name, 0) for name in HALOGENS)
    return (2 * atoms["C"] + 2 + atoms.get("N", 0) - monovalent) // 2


def _formulae() -> Iterator[Row]:
    draw, seen = Draw("unsaturation"), set[str]()
    while len(seen) < ROWS:
        family = draw.one_of(("plain", "nitrogen", "halogen", "nitrogen and halogen"))
        atoms = {"C": 2 + draw.below(15), "O": draw.below(5), "S": draw.below(5) // 4}
        if "nitrogen" in family:
            atoms["N"] = 1 + draw.below(3)
        if "halogen" in family:
            atoms[draw.one_of(HALOGENS)] = 1 + draw.below(3)
        most = degrees_of_unsaturation({**atoms, "H": 0})
        if most < 0:
            continue
        wanted = draw.below(min(most, 14) + 1)
        spare = 2 * atoms["C"] + 2 + atoms.get("N", 0) - sum(atoms.get(name, 0) for name in HALOGENS)
        atoms["H"] = spare - 2 * wanted
        formula = hill(atoms)
        if formula not in seen:
            seen.add(formula)
            yield f"Molecular formula: {formula}", str(degrees_of_unsaturation(atoms)), family


def hill(atoms: dict[str, int]) -> str:
    """The formula in Hill order: carbon, hydrogen, then the others by the alphabet."""
    order = ["C", "H", *sorted(name for name in atoms if name not in ("C", "H"))]
    return "".join(
        name + (str(atoms[name]) if atoms[name] > 1 else "") for name in order if atoms.get(name, 0)
    )


SAMPLES = {
    sample.name: sample
    for sample in (
        Sample(
            "vowel-harmony",
            "Plurals of an invented language",
            "Which of eight plural endings does a noun of Sevrian take? Vowel harmony, with neutral vowels, "
            "assimilation and loan words that break it.",
            "Made by script; Sevrian is invented. Stems of two or three syllables are drawn from fixed sounds with "
            "vowels of one harmony: back a, o, u or front e, ö, ü; i is neutral. The last vowel that is not "
            "neutral decides the ending's vowel: a after a, o after o or u, e after e, ö after ö or ü; a stem "
            "with i alone takes e. The ending begins with n after m or n, else with l. Of a compound only the "
            "last member counts. Loan words, known by the foreign sound f, always take a. 1,200 different nouns; "
            "a tenth each are drawn for test and validation. `family` says native, loan or compound, so that "
            "whole kinds can be held out.",
            "You know Sevrian. Answer with the plural ending of the noun and nothing else: "
            "-lar, -lor, -ler, -lör, -nar, -nor, -ner, -nör.",
            _nouns,
        ),
        Sample(
            "unsaturation",
            "Degrees of unsaturation",
            "How many rings and double bonds must a molecule have, by its formula alone? A number to predict, "
            "from a rule that chemists learn in their first year.",
            "Made by script from the textbook formula (2 C + 2 + N − H − X) / 2, in which X counts the halogens "
            "and oxygen and sulfur do not matter. Atoms are drawn (2 to 16 C, up to 4 O, at times S, N or "
            "one halogen), then a number of rings and double bonds from 0 to 14 that they allow, then H so that "
            "the sum holds. 1,200 different formulae in Hill order; a tenth each are drawn for test and "
            "validation. `family` says which atoms beside C, H, O and S are there, so that whole families can "
            "be held out.",
            "You are a careful chemist. Answer with the degrees of unsaturation (rings plus pi bonds) of the "
            "molecule as a whole number and nothing else.",
            _formulae,
        ),
    )
}
