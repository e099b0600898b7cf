"""Frozen assignments of a dataset's items to parts."""

from typing import Any

from sqlmodel import Field

from app.tables._base import Json, Owned


class Split(Owned, table=True):
    """One byte per item (0 train, 1 validation, 2 test, 3 unused); never changed once made."""

    id: int | None = Field(default=None, primary_key=True)
    dataset_id: int = Field(foreign_key="dataset.id", index=True)
    name: str = Field(max_length=100)
    kind: str = Field(max_length=20)
    parameters: dict[str, Any] = Field(default_factory=dict, sa_type=Json)
    parts: bytes
    sha256: str = Field(max_length=64)
    counts: dict[str, int] = Field(default_factory=dict, sa_type=Json)
    # For grouped splits: names of the groups, and for each item the index of its group or -1.
    groups: list[str] = Field(default_factory=list, sa_type=Json)
    group_of: list[int] = Field(default_factory=list, sa_type=Json)
    # {"labels": {part: {label: n}}, "leaks": {"exact": n, "near": n, "lines": [...], "near_lines": [...]},
    #  "ceiling": {"right": n, "items": n, "contradictory": n} of the test part, or None}
    facts: dict[str, Any] = Field(default_factory=dict, sa_type=Json)
    # Sentences about what was done, for example "10 % of its train part, drawn by seed 1, are the validation part".
    remarks: list[str] = Field(default_factory=list, sa_type=Json)
