"""Prompts with examples: which are shown, in what order, and that they can be made again from the run's folder."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.datasets.stored import StoredItem
from app.providers._shapes import Decoding
from app.runs.nearest_examples import Index
from app.runs.prompts import Style, answer_of, choose, label_schema, messages
from app.storage import run_folder
from app.tables import RunState
from tests.emulator._world import World
from tests.runs.predicting import Ask, finish, replies

CHAT = "openai POST /v1/chat/completions"


def item(number: int, text: str, answer: str = "yes", system: str = "") -> StoredItem:
    prompt = [{"role": "system", "content": system}] if system else []
    prompt.append({"role": "user", "content": text})
    reply = {"role": "assistant", "content": answer, "weight": 1}
    return StoredItem(number, number + 1, f"i{number}", None, prompt, answer, reply, None)


TRAIN = [item(n, text) for n, text in enumerate(["red apple", "green pear", "red cherry", "blue sky"])]


def test_the_same_examples_for_all_are_drawn_by_the_seed() -> None:
    asked = [item(7, "red"), item(8, "blue")]
    drawn = [dict(choose(Style(2), seed, TRAIN, iter(asked))) for seed in (1, 1, 2, 3, 4)]
    assert drawn[0] == drawn[1]
    assert len({tuple(each[7]) for each in drawn}) > 1
    assert all(each[7] == each[8] and len(set(each[7])) == 2 for each in drawn)


def test_the_nearest_stands_last() -> None:
    chosen = dict(choose(Style(2, "nearest"), 1, TRAIN, iter([item(7, "a red cherry"), item(8, "the sky")])))
    assert chosen[7] == [0, 2]
    assert chosen[8][-1] == 3


def test_more_examples_than_there_are_shows_all() -> None:
    assert len(dict(choose(Style(9, "nearest"), 1, TRAIN, iter([item(7, "x")])))[7]) == 4
    assert dict(choose(Style(0), 1, [], iter([item(7, "x")]))) == {7: []}


def test_messages_are_system_examples_question() -> None:
    asked = item(9, "is it red?", system="Be brief.")
    made = messages(asked, Style(2), [item(1, "one", "yes", system="Be brief."), item(2, "two", "no")])
    assert [turn["role"] for turn in made] == ["system", "user", "assistant", "user", "assistant", "user"]
    assert [turn["content"] for turn in made] == ["Be brief.", "one", "yes", "two", "no", "is it red?"]
    assert all("weight" not in turn for turn in made)
    other = messages(asked, Style(system_prompt="Say yes or no."))
    assert [turn["content"] for turn in other] == ["Say yes or no.", "is it red?"]


def test_a_constrained_answer_is_read_out_of_its_json() -> None:
    decoding = Decoding(schema=label_schema(["acid", "base"]))
    assert answer_of('{"answer": "acid"}', decoding) == ("acid", '{"answer": "')
    assert answer_of('{"answer":"b\\u0061se"}', decoding) == ("base", '{"answer":"')
    assert answer_of("acid", decoding) == ("acid", "")
    assert answer_of('{"answer": 3}', decoding) == ('{"answer": 3}', "")
    assert answer_of('{"answer": "acid"}', Decoding())[0] == '{"answer": "acid"}'


WORDS = st.lists(st.sampled_from(["ab", "bc", "cd", "de", "ef", "fg"]), max_size=6).map(" ".join)


@settings(max_examples=60)
@given(st.lists(WORDS, min_size=1, max_size=8), WORDS)
def test_nearest_is_the_cosine_of_tf_idf(texts: list[str], asked: str) -> None:
    index = Index(texts)
    vocabulary = sorted(index.weight)

    def row(text: str) -> Any:
        counts = np.array([text.split().count(word) for word in vocabulary], dtype=float)
        tf = np.where(counts > 0, 1 + np.log(np.maximum(counts, 1)), 0)
        values = tf * np.array([index.weight[word] for word in vocabulary])
        length = np.linalg.norm(values)
        return values / length if length else values

    similar = np.array([float(row(text) @ row(asked)) for text in texts]).round(9)
    assert index.nearest(asked, len(texts)) == list(np.argsort(-similar, kind="stable"))


@pytest.mark.parametrize("selection", ["random", "nearest"])
@pytest.mark.laptop
def test_the_folder_makes_every_prompt_again(ask: Ask, world: World, selection: str) -> None:
    run_id = ask(examples=3, selection=selection, system_prompt="Name the class.")
    assert finish(run_id).state == RunState.DONE
    folder = run_folder(run_id)

    def lines(name: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (folder / name).read_text().splitlines()]

    train = {row["number"]: row["messages"] for row in lines("train.jsonl")}
    test = {row["number"]: row["prompt"] for row in lines("test.jsonl")}
    chosen = {row["number"]: row["examples"] for row in lines("service/prompt-examples.jsonl")}
    sent = {
        seen.body["messages"][-1]["content"]: seen.body["messages"]
        for seen in world.seen
        if seen.route == CHAT
    }
    assert set(chosen) == set(test)
    assert {number for shown in chosen.values() for number in shown} <= set(train)
    for number, prompt in test.items():
        made = [{"role": "system", "content": "Name the class."}]
        made += [turn for shown in chosen[number] for turn in train[shown]] + prompt
        assert sent[prompt[-1]["content"]] == made
    recipe = json.loads((folder / "service" / "prompt-recipe.json").read_text())
    assert recipe["decoding"]["temperature"] == 0
    assert json.loads((folder / "service" / "first-prompts.json").read_text())[0] in sent.values()
    assert len(replies(run_id)) == len(test)
