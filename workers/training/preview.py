"""out/preview.json: the first items as the model sees them. Used by starter.py and hub.py."""

from typing import Any

from .files import write_json
from .job import Job

SHOWN = 4


def write_preview(job: Job, tokenizer: Any, rows: list[tuple[list[int], list[bool]]]) -> None:
    """A list of {item, tokens, segments: [{text, trained}]}; trained segments are what the loss is taken on."""
    shown = [
        {"item": row["item"], "tokens": len(ids), "segments": segments(tokenizer, ids, trained)}
        for row, (ids, trained) in zip(job.train[:SHOWN], rows, strict=False)
    ]
    write_json(job.out / "preview.json", shown)


def segments(tokenizer: Any, ids: list[int], trained: list[bool]) -> list[dict[str, Any]]:
    """The row as text in pieces, special tokens shown."""
    pieces: list[tuple[list[int], bool]] = []
    for token, marked in zip(ids, trained, strict=True):
        if not pieces or pieces[-1][1] != marked:
            pieces.append(([], marked))
        pieces[-1][0].append(token)
    return [
        {"text": tokenizer.decode(part, skip_special_tokens=False), "trained": marked}
        for part, marked in pieces
    ]
