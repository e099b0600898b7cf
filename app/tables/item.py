"""The index over a dataset's items: where each lies in the stored file, and keys to find duplicates."""

from sqlalchemy import BigInteger
from sqlmodel import Field, SQLModel


class Item(SQLModel, table=True):
    """One item. Its text stays in the file (`offset`, `length` in bytes); for CSV and Parquet uploads these
    point into the JSON Lines form that was written when the file was checked."""

    __table_args__ = {"sqlite_with_rowid": False}

    dataset_id: int = Field(foreign_key="dataset.id", primary_key=True)
    number: int = Field(primary_key=True)
    line: int
    offset: int = Field(sa_type=BigInteger)
    length: int
    # 64 bits of the prompt's SHA-256.
    content_key: int = Field(sa_type=BigInteger)
    # 1 for the first item with this prompt, 2 for the second...: with content_key the item's identity.
    occurrence: int = 1
    # The first item with this prompt but for case and blanks (perhaps itself); None when no other has it.
    same_as: int | None = None
    # The answer, when it is short enough to be a label.
    label: str | None = Field(default=None, max_length=64)
    answer_characters: int
    tokens: int
    # Part named by the file's own split key: 0 train, 1 validation, 2 test, 3 none.
    file_part: int
    # Whether the row holds a rejected answer beside the wanted one.
    rejected: bool = False


def item_id(content_key: int, occurrence: int) -> str:
    """The item's public identity: the same prompt has the same id in every dataset."""
    # The letter keeps spreadsheets from reading ids such as 12e456789012 as numbers.
    name = f"i{content_key & 0xFFFFFFFFFFFFFFFF:016x}"[:13]
    return name if occurrence == 1 else f"{name}.{occurrence}"
