"""Every imported row finds its item, or the import says why not."""

import pytest

from app.datasets.stored import StoredItem
from app.errors import Invalid
from app.experiments.import_file import ImportedRow
from app.experiments.match import match_rows


def item(number: int, text: str, answer: str) -> StoredItem:
    """A test item at line 10, 11, ..."""
    prompt = [{"role": "user", "content": text}]
    message = {"role": "assistant", "content": answer}
    return StoredItem(number, number + 10, f"id{number}", None, prompt, answer, message, None)


ITEMS = [item(0, "one", "A"), item(1, "two", "B"), item(2, "two", "C"), item(3, "three  words", "1.50")]


def row(where: int, **values) -> ImportedRow:
    """A row of the file."""
    return ImportedRow(f"line {where}", values.pop("answer", "x"), **values)


def numbers(rows: list[ImportedRow]) -> tuple[list[int], str]:
    """The numbers of the matched items, and how."""
    matched, how = match_rows(rows, ITEMS)
    return [one.number for one in matched], how


def test_by_item_id_in_any_order_and_not_all() -> None:
    found, how = numbers([row(2, item="id3"), row(3, item="id0")])
    assert found == [3, 0]
    assert how == "2 of 4 test items, matched by item id"


def test_by_line() -> None:
    found, how = numbers([row(2, line=12), row(3, line=10, expected="A")])
    assert found == [2, 0]
    assert "line of the data file" in how


def test_lines_of_another_version_of_the_file_are_noticed() -> None:
    with pytest.raises(Invalid, match="line 2 expects 'A', but line 11 of the data file has 'B'"):
        match_rows([row(2, line=11, expected="A")], ITEMS)
    assert numbers([row(2, line=13, expected="1.5")])[0] == [3]


def test_by_input_with_blanks_apart() -> None:
    assert numbers([row(2, input=" three words\n")])[0] == [3]


def test_equal_inputs_go_to_the_item_with_their_expected_answer() -> None:
    assert numbers([row(2, input="two", expected="C"), row(3, input="two", expected="B")])[0] == [2, 1]
    assert numbers([row(2, input="two"), row(3, input="two")])[0] == [1, 2]


def test_ids_of_another_tool_do_not_stand_in_the_way() -> None:
    found, how = numbers([row(2, item="0", input="one"), row(3, item="1", input="three words")])
    assert found == [0, 3]
    assert "input text" in how


def test_by_order_only_when_everything_agrees() -> None:
    rows = [row(i + 2, expected=one.answer) for i, one in enumerate(ITEMS)]
    found, how = numbers(rows)
    assert found == [0, 1, 2, 3]
    assert "matched by order (every expected answer agrees)" in how
    with pytest.raises(Invalid, match="The file has 3 rows without item, line or input"):
        match_rows(rows[:3], ITEMS)
    with pytest.raises(Invalid, match="line 3 has expected answer 'X', the item there has 'B'"):
        match_rows([rows[0], row(3, expected="X"), *rows[2:]], ITEMS)
    with pytest.raises(Invalid, match="line 2 has no expected answer"):
        match_rows([row(2), *rows[1:]], ITEMS)


def test_rows_that_belong_to_no_item_are_counted() -> None:
    with pytest.raises(
        Invalid, match="2 of 3 rows belong to no test item by their item id; the first is line 3"
    ):
        match_rows([row(2, item="id0"), row(3, item="no"), row(4, item="nor")], ITEMS)


def test_an_item_comes_once() -> None:
    with pytest.raises(Invalid, match="line 3 and line 2 are both predictions of item id0"):
        match_rows([row(2, item="id0"), row(3, item="id0")], ITEMS)
