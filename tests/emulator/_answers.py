"""What emulated models answer: the reply of the nearest training row by shared words, with log-probabilities that fit.

A model that was not tuned learns from the examples in its prompt; without any it picks among the replies that it has
seen in files. The same prompt always gets the same answer. Used by the services' chat and batch routes.
"""

import hashlib
import itertools
import json
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from tests.emulator._world import World

# How sharply a larger overlap wins over a smaller one.
SHARPNESS = 8.0
NEAREST = 30
WORD = re.compile(r"\w+")
TOKEN = re.compile(r"\s?\w{1,4}|\s?[^\w\s]|\s")
FLOOR = 1e-6
# Tokens that a chat template puts around each turn.
MARKS = 4


@dataclass
class Pupil:
    """What has been learned: rows of (words of the prompt, reply)."""

    rows: list[tuple[frozenset[str], str]] = field(default_factory=list)
    index: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))

    def learn(self, prompt: str, reply: str) -> None:
        """One more row."""
        words = frozenset(WORD.findall(prompt.lower()))
        for word in words:
            self.index[word].append(len(self.rows))
        self.rows.append((words, reply))

    def distribution(self, prompt: str) -> dict[str, float]:
        """Probability of each reply, the likeliest first; {} when nothing was learned."""
        words = frozenset(WORD.findall(prompt.lower()))
        shared: Counter[int] = Counter()
        for word in words:
            rows = self.index.get(word, ())
            if len(rows) <= max(2, 0.6 * len(self.rows)):  # what every row has says nothing
                shared.update(rows)
        best: dict[str, float] = {}
        for number, count in sorted(shared.items(), key=lambda pair: (-pair[1], pair[0]))[:NEAREST]:
            row, reply = self.rows[number]
            best.setdefault(reply, count / len(row | words))
        if not best and self.rows:
            best = {self.rows[_number(prompt) % len(self.rows)][1]: 0.0}
        weights = {reply: math.exp(SHARPNESS * score) for reply, score in best.items()}
        for _words, reply in self.rows[:200]:
            weights.setdefault(reply, 0.2)
        total = sum(weights.values())
        return {
            reply: weight / total
            for reply, weight in sorted(weights.items(), key=lambda pair: (-pair[1], pair[0]))
        }


def _number(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")


def words_of(messages: Iterable[Mapping[str, Any]]) -> str:
    """The text of a prompt's messages; content parts count by their text."""
    found = []
    for message in messages:
        content = message.get("content") or ""
        parts = content if isinstance(content, list) else [{"text": content}]
        found += [str(part.get("text", "")) for part in parts]
    return "\n".join(found)


def row_of(line: Mapping[str, Any]) -> tuple[str, str]:
    """(prompt, reply) of one line of a training file in any of the usual shapes."""
    if "messages" in line:
        *before, last = line["messages"]
        return words_of(before), str(last.get("content") or json.dumps(last.get("tool_calls") or ""))
    if "input" in line and "preferred_output" in line:
        return words_of(line["input"]["messages"]), words_of(line["preferred_output"])
    return str(line.get("prompt", "")), str(line.get("completion", line.get("text", "")))


def pupil_of(files: Iterable[bytes]) -> Pupil:
    """A model tuned on these files of JSON lines."""
    pupil = Pupil()
    for content in files:
        for line in content.decode("utf-8-sig").splitlines():
            if line.strip():
                pupil.learn(*row_of(json.loads(line)))
    return pupil


def examples_in(messages: Sequence[Mapping[str, Any]]) -> Pupil:
    """What the turns of a few-shot prompt teach."""
    pupil = Pupil()
    for before, after in itertools.pairwise(messages):
        if before["role"] == "user" and after["role"] == "assistant":
            pupil.learn(words_of([before]), words_of([after]))
    return pupil


@dataclass
class Drawn:
    """One answer and the distribution that it is the likeliest of."""

    text: str
    distribution: dict[str, float]

    def tokens(self, top: int) -> list[dict[str, Any]]:
        """For each token {token, logprob, top: [(token, logprob)]}: at each place the likelihood of what can follow,
        given what stands before, as the distribution over whole answers says."""
        own, found = pieces(self.text), []
        for place, token in enumerate(own):
            following: dict[str, float] = defaultdict(float)
            for reply, chance in self.distribution.items():
                other = pieces(reply)
                if other[:place] == own[:place] and len(other) > place:
                    following[other[place]] += chance
            total = sum(following.values()) or 1.0
            ranked = sorted(following.items(), key=lambda pair: -pair[1])
            logs = [(each, math.log(max(chance / total, FLOOR))) for each, chance in ranked]
            found.append({"token": token, "logprob": dict(logs).get(token, 0.0), "top": logs[:top]})
        return found


def pieces(text: str) -> list[str]:
    """A text cut into tokens of at most four letters."""
    return TOKEN.findall(text)


def answer(
    world: World, model: str, messages: Sequence[Mapping[str, Any]], pupil: Pupil | None = None
) -> Drawn:
    """What `model` says; world.replies comes first, then what was learned, then the prompt's own examples."""
    prompt = words_of(messages)
    for pattern, reply in world.replies.items():
        if fnmatchcase(model, pattern):
            return Drawn(reply(prompt), {reply(prompt): 1.0})
    learned = pupil if pupil and pupil.rows else examples_in(messages)
    if learned.rows:
        found = learned.distribution(words_of(messages[-1:]) if pupil is not learned else prompt)
        return Drawn(next(iter(found)), found)
    text = (WORD.findall(prompt) or ["yes"])[-1]
    return Drawn(text, {text: 1.0})


def token_count(text: str) -> int:
    """About how many tokens a text has."""
    return max(1, len(text) // 4)


def file_tokens(content: bytes) -> int:
    """About how many tokens a service trains on in a file of JSON lines: what is said and the marks around each turn,
    not the JSON. Of a pair both answers are read, each after the prompt."""
    rows = [json.loads(line) for line in content.decode("utf-8-sig").splitlines() if line.strip()]
    return sum(_row_tokens(row) for row in rows)


def _row_tokens(row: Mapping[str, Any]) -> int:
    if "input" in row and "preferred_output" in row:
        asked = row["input"]["messages"]
        turns = [*asked, *row["preferred_output"], *asked, *row["non_preferred_output"]]
    elif "messages" in row:
        turns = row["messages"]
    else:
        said = (row.get("prompt", ""), row.get("completion", row.get("text", "")))
        turns = [{"content": each} for each in said]
    called = [json.dumps(turn["tool_calls"]) for turn in turns if turn.get("tool_calls")]
    offered = [json.dumps(row["tools"])] if row.get("tools") else []
    return sum(token_count(words_of([turn])) + MARKS for turn in turns) + sum(
        map(token_count, [*called, *offered])
    )
