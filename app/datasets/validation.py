"""A validation part for a file that names only train and test: a share of train, drawn by seed into a split of its own.

Called by app/experiments: first to count (the plan), then to keep (the launch).
"""

from dataclasses import dataclass

from sqlmodel import Session, select

from app.datasets.make_split import SplitRequest, default_name, draw_split
from app.errors import Invalid
from app.tables import Dataset, Split


@dataclass(frozen=True)
class FromTrain:
    """The share of train (0: none is drawn) and the seed of the draw."""

    share: float = 0.0
    seed: int = 1


def with_validation(session: Session, dataset: Dataset, split: Split, asked: FromTrain) -> Split:
    """The split with that validation part: the one that was kept before, or a new row that is not stored yet.

    Raises Invalid for a split that was not the file's own or has a validation part.
    """
    if split.kind != "file":
        raise Invalid(
            f"The split {split.name!r} is not the file's own, so no validation part is drawn from its train part.",
            "Make a split with a share for validation on the dataset's page, or leave the share of train empty.",
            {"validation": "only for the file's own split"},
        )
    if split.counts.get("validation"):
        raise Invalid(
            f"The split {split.name!r} has a validation part already.",
            "Leave the share of train empty.",
            {"validation": "the split has a validation part"},
        )
    request = SplitRequest("file", seed=asked.seed, of_train=asked.share)
    drawn = draw_split(session, dataset, request)
    of_dataset = select(Split).where(Split.dataset_id == dataset.id)
    kept = session.exec(of_dataset.where(Split.sha256 == drawn.sha256, Split.kind == "file")).first()
    if kept is None and session.exec(of_dataset.where(Split.name == drawn.name)).first():
        # Somebody gave this name to another split.
        drawn.name = f"{default_name(request)}, {drawn.sha256[:8]}"[:100]
    return kept or drawn
