"""Duplicates found on disk agree with a plain dictionary, whatever the size of a part."""

from collections import Counter, defaultdict
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlmodel import Session, col, select

from app.datasets import twins
from app.datasets.index import normalise
from app.tables import Item
from tests.datasets.checked import chat, jsonl, send, warned

KEYS = st.lists(st.tuples(st.integers(-3, 9), st.integers(0, 2), st.integers(0, 1)), min_size=1, max_size=80)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(keys=KEYS, size=st.integers(1, 100))
def test_twins_agree_with_a_dictionary(keys: list[tuple[int, int, int]], size: int, tmp_path: Path) -> None:
    rows = [(normal, normal * 10 + exact, answer) for normal, exact, answer in keys]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(twins, "SORTED", size)
        spool = twins.KeySpool(tmp_path)
        for start in range(0, len(rows), 7):
            normal, exact, answer = (list(column) for column in zip(*rows[start : start + 7], strict=True))
            spool.add(normal, exact, answer)
        found = {int(row["number"]): row for batch in spool.twins() for row in batch}
        spool.close()
    shared = Counter(row[0] for row in rows)
    assert set(found) == {n for n, row in enumerate(rows) if shared[row[0]] > 1}
    seen: Counter[int] = Counter()
    answers = defaultdict(set)
    for number, (normal, exact, answer) in enumerate(rows):
        seen[exact] += 1
        answers[exact].add(answer)
        if number in found:
            assert found[number]["occurrence"] == seen[exact]
            assert found[number]["first"] == next(n for n, row in enumerate(rows) if row[0] == normal)
    assert spool.duplicates.count == len(rows) - len({row[1:] for row in rows})
    contradicting = [n for n, row in enumerate(rows) if len(answers[row[1]]) > 1]
    assert spool.contradictions.count == len(contradicting)
    assert spool.contradictions.numbers == contradicting[:10]


def test_duplicates_and_contradictions_are_counted_with_lines(client: TestClient, session: Session) -> None:
    rows = [chat(f"q{n}", "yes") for n in range(20)]
    rows += [chat("q3", "yes"), chat("q3", "yes"), chat("q5", "no"), chat("Q 7", "no")]
    found = send(client, jsonl(*rows))
    assert warned(found)["duplicate"] == (2, [21, 22])
    assert warned(found)["contradiction"] == (2, [6, 23])
    query = select(Item.number, Item.occurrence, Item.same_as).where(col(Item.same_as).is_not(None))
    assert sorted(session.exec(query).all()) == [
        (3, 1, 3), (5, 1, 5), (7, 1, 7), (20, 2, 3), (21, 3, 3), (22, 2, 5), (23, 1, 7),
    ]  # fmt: skip
    items = client.get(f"/api/v1/datasets/{found['id']}/items").json()["items"]
    identities = [item["item"] for item in items]
    assert len(set(identities)) == len(identities)
    assert identities[20] == f"{identities[3]}.2"


@given(st.text(), st.text(alphabet=" \t\n\r\x0b\x0c"))
def test_normalising_ignores_blanks_and_case(text: str, blanks: str) -> None:
    assert normalise(blanks.join(text)) == normalise(text)
    assert normalise(text.upper()).casefold() == normalise(text.upper())
