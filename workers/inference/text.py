"""The text of one answer while it grows: whole characters only, nothing beyond a stop. Used by lane.py."""

from collections.abc import Callable
from typing import Any

# What a decoder writes for bytes that are no whole character yet.
PARTIAL = "\ufffd"
# So many tokens are decoded again with each new one, since a token's text may depend on those before it.
WINDOW = 24


class AnswerText:
    """Takes tokens, gives text as soon as it is certain. `stopped` once a stop has come; it is not part of the text.

    `take` and `end` give (text, tokens): `tokens` are the notes that came with the tokens of that text.
    """

    def __init__(self, decode: Callable[[list[int]], str], stops: tuple[str, ...]) -> None:
        self._decode, self._stops = decode, stops
        self.tokens: list[int] = []
        self.stopped = False
        # Tokens from _start on are decoded with each new one; _before is the text of those that have given theirs.
        self._start, self._before = 0, ""
        self._given = 0
        self._held = ""
        self._notes: list[tuple[int, Any]] = []

    def take(self, token: int, note: Any = None) -> tuple[str, list[Any]]:
        """One more token, with what is to be told about it."""
        if note is not None:
            self._notes.append((self._given + len(self._held), note))
        self.tokens.append(token)
        after = self._decode(self.tokens[self._start :])
        if len(after) <= len(self._before) or after.endswith(PARTIAL):
            return "", []
        new, self._before = after[len(self._before) :], after
        if len(self.tokens) - self._start > WINDOW:
            self._start = len(self.tokens) - 1
            self._before = self._decode(self.tokens[self._start :])
        return self._certain(new)

    def end(self) -> tuple[str, list[Any]]:
        """The rest, once no token follows."""
        if self.stopped:
            return "", []
        text, notes = self._certain(self._decode(self.tokens[self._start :])[len(self._before) :])
        if self.stopped:
            return text, notes
        text, self._held = text + self._held, ""
        rest, self._notes = [note for _, note in self._notes], []
        return text, notes + rest

    def _certain(self, new: str) -> tuple[str, list[Any]]:
        self._held += new
        places = [place for stop in self._stops if (place := self._held.find(stop)) >= 0]
        if places:
            self.stopped = True
            return self._give(min(places))
        return self._give(len(self._held) - self._tail())

    def _tail(self) -> int:
        """How many characters at the end could be the beginning of a stop."""
        return max(
            (
                length
                for stop in self._stops
                for length in range(1, min(len(stop), len(self._held) + 1))
                if self._held.endswith(stop[:length])
            ),
            default=0,
        )

    def _give(self, length: int) -> tuple[str, list[Any]]:
        text, self._held = self._held[:length], self._held[length:]
        self._given += length
        told = [note for place, note in self._notes if place < self._given]
        self._notes = [pair for pair in self._notes if pair[0] >= self._given]
        return text, told
