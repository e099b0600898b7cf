"""Class probabilities from the likeliest tokens of a hosted model's answer. Pure. Used by reply_chat.py and
reply_batch.py.

A service gives, for each token of its answer, the k likeliest tokens with their log-probabilities. Let s be the text
of the answer before a token, P(s) the product of the probabilities of its tokens, and t one of the k tokens, of
probability p(t). Then s + t begins an answer with probability P(s) p(t). That mass goes to the label that s + t
begins or completes; where several labels begin so, to each the same share. The walk along the answer ends where one
label alone is left, which gets what remains. The labels that no listed token begins share the mass 1 - sum p(t) that
was not listed, each at most the smallest listed probability, since it would have been listed otherwise. What is left
is divided by its sum.

Limits: the tokens after an alternative first token are not known, so an alternative that only begins like a label
counts for it; labels that share their beginning with an alternative share its mass equally; below the k likeliest
tokens nothing is seen. With labels that are one token each, and k at least their number, the result is exact up to
the answers that are no label, whose mass is left out.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Tops = Sequence[Sequence[tuple[str, float]]]
# Tokens looked at: no label is longer.
MOST_TOKENS = 40


@dataclass(frozen=True)
class Names:
    """How labels are compared: without blanks around them, and in lower case unless two labels differ by it.
    `before` is text of the answer that stands before the label."""

    of: Mapping[str, str]
    folded: bool
    before: str

    def fitting(self, begun: str) -> list[str]:
        """The labels that an answer which begins so can still become, or already is."""
        if len(begun) <= len(self.before):
            return list(self.of) if self.before.startswith(begun) else []
        if not begun.startswith(self.before):
            return []
        own = begun[len(self.before) :].lstrip()
        own = own.casefold() if self.folded else own
        held = [label for label, name in self.of.items() if _holds(own, name)]
        # "MH" is not also an "M".
        longest = max((len(self.of[label]) for label in held), default=0)
        return [
            label
            for label, name in self.of.items()
            if name.startswith(own) or (label in held and len(name) == longest)
        ]


def _holds(own: str, name: str) -> bool:
    """Whether the text is the label, or the label and then something that is no part of the same word."""
    return bool(name) and own.startswith(name) and not own[len(name) : len(name) + 1].isalnum()


def label_probabilities(
    labels: Sequence[str], text: str, tops: Tops | None, before: str = ""
) -> dict[str, float] | None:
    """{label: probability}, summing to 1, from the answer's text and its likeliest tokens.

    `tops[i]` are (token, natural log-probability) for token i of the answer; `before` is text of the answer that
    stands before the label (the start of a JSON object). None where nothing speaks for any label.
    """
    if not labels or not tops:
        return None
    names, mass = _names(labels, before), dict.fromkeys(labels, 0.0)
    tops = tops[:MOST_TOKENS]
    path = _path(text, tops)
    begun, so_far = 1.0, ""
    for place, top in enumerate(tops):
        alive = names.fitting(so_far)
        if len(alive) <= 1:
            break
        chosen = path[place] if place < len(path) else None
        for label, share in _shares(names, top, so_far, alive, chosen).items():
            mass[label] += begun * share
        # Past its last token the answer has ended, and what could follow has been shared.
        begun *= max((_p(logprob) for token, logprob in top if token == chosen), default=0.0)
        so_far += chosen or ""
    for label in names.fitting(text + "\n"):
        mass[label] += begun
    total = sum(mass.values())
    return {label: value / total for label, value in mass.items()} if total > 0 else None


def _names(labels: Sequence[str], before: str) -> Names:
    stripped = {label: label.strip() for label in labels}
    folded = {label: name.casefold() for label, name in stripped.items()}
    same = len(set(folded.values())) == len(set(stripped.values()))
    return Names(folded if same else stripped, same, before)


def _p(logprob: float) -> float:
    return math.exp(min(logprob, 0.0)) if logprob == logprob else 0.0


def _path(text: str, tops: Tops) -> list[str]:
    """The tokens that the answer was made of, found among the listed ones; as far as they can be followed."""
    best: list[str] = []
    dead: set[tuple[int, int]] = set()

    def follow(place: int, at: int, chosen: list[str]) -> bool:
        nonlocal best
        if len(chosen) > len(best):
            best = chosen
        if place == len(tops) or at >= len(text):
            return True
        if (place, at) in dead:
            return False
        for token, _ in tops[place]:
            if token and text.startswith(token, at) and follow(place + 1, at + len(token), [*chosen, token]):
                return True
        dead.add((place, at))
        return False

    follow(0, 0, [])
    return best


def _shares(
    names: Names, top: Sequence[tuple[str, float]], so_far: str, alive: list[str], chosen: str | None
) -> dict[str, float]:
    """What each label gets of one token's mass: from the listed alternatives to the chosen token, and from what
    was not listed."""
    shares = dict.fromkeys(alive, 0.0)
    listed, smallest, seen = 0.0, 1.0, set()
    for token, logprob in top:
        p = _p(logprob)
        listed, smallest = listed + p, min(smallest, p)
        # An empty token ends the answer.
        fitting = names.fitting(so_far + (token or "\n"))
        seen.update(fitting)
        if token != chosen:
            for label in fitting:
                shares[label] = shares.get(label, 0.0) + p / len(fitting)
    unseen = [label for label in alive if label not in seen]
    for label in unseen:
        shares[label] += min(max(1.0 - listed, 0.0) / len(unseen), smallest)
    return shares
