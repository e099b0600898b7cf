"""A scoring's readings packed into columns: what comparisons of many items read instead of their rows."""

from sqlmodel import Field, SQLModel


class Outcomes(SQLModel, table=True):
    """Written with the readings of a scoring, and like them never changed. Each column has one value per item,
    in the order of the items' numbers; app/evaluations/outcomes.py packs and unpacks them."""

    scoring_id: int = Field(foreign_key="scoring.id", primary_key=True)
    # Little-endian: int32 numbers, uint8 flags (1 right, 2 error), int64 keys of the answers as read (0: none).
    numbers: bytes
    flags: bytes
    answers: bytes
