"""Rows as the tensors of one batch: padded, or one behind the other. Used by hub_trainer.py.

`places` are the tokens (counted through the whole batch) whose next one belongs to an answer, `labels` those next ones:
the model's last layer is worked out there alone.
"""

from collections.abc import Sequence
from typing import Any

import torch

IGNORED = -100
Example = tuple[torch.Tensor, torch.Tensor]


def examples(rows: Sequence[tuple[list[int], list[bool]]]) -> list[Example]:
    """Rows as (tokens, which are trained on) in tensors."""
    return [(torch.tensor(ids), torch.tensor(trained)) for ids, trained in rows]


def padded(batch: list[Example], pad: int) -> dict[str, Any]:
    """Rows one below the other, (rows, longest - 1). Padding stands on the right, where no earlier token sees it, so
    that no mask is needed; a row's last token is only foretold, never read."""
    longest = max(len(ids) for ids, _ in batch) - 1
    tokens = torch.full((len(batch), longest), pad)
    for number, (ids, _) in enumerate(batch):
        tokens[number, : len(ids) - 1] = ids[:-1]
    found = [
        (trained[1:].nonzero().flatten() + number * longest) for number, (_, trained) in enumerate(batch)
    ]
    return {"input_ids": tokens, **_targets(batch, found)}


def behind(batch: list[Example], named: bool = False) -> dict[str, Any]:
    """Rows one behind the other as one, with what keeps them apart: see joined()."""
    given = joined([ids[:-1].tolist() for ids, _ in batch], named)
    starts = given["cu_seq_lens_q"].tolist()
    found = [
        trained[1:].nonzero().flatten() + start for (_, trained), start in zip(batch, starts, strict=False)
    ]
    return {**given, **_targets(batch, found)}


def joined(rows: list[list[int]], named: bool = False) -> dict[str, Any]:
    """The model's input for rows one behind the other: positions begin anew with each, and the ends stand as
    FlashAttention wants them; `named`: the lengths as hub_attention.py wants them too."""
    lengths = [len(row) for row in rows]
    ends = torch.tensor([0, *lengths]).cumsum(0, dtype=torch.int32)
    longest = max(lengths)
    return {
        "input_ids": torch.tensor([[token for row in rows for token in row]]),
        "position_ids": torch.cat([torch.arange(length) for length in lengths]).unsqueeze(0),
        "cu_seq_lens_q": ends,
        "cu_seq_lens_k": ends,
        "max_length_q": longest,
        "max_length_k": longest,
        **({"row_lengths": tuple(lengths)} if named else {}),
    }


def _targets(batch: list[Example], found: list[torch.Tensor]) -> dict[str, torch.Tensor]:
    places = torch.cat(found)
    labels = torch.cat([ids[1:][trained[1:]] for ids, trained in batch])
    if not len(places):
        # A batch that has nothing to learn still goes through every layer: the other devices wait for it.
        places, labels = torch.zeros(1, dtype=torch.long), torch.full((1,), IGNORED)
    return {"places": places, "labels": labels, "shift_labels": labels}
