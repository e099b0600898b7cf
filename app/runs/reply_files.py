"""The predictions of a run at a service as files in its folder, as a training process leaves them."""

import json
from typing import Any

from app.datasets.items import PART_NAMES
from app.datasets.stored import StoredItem, items_by_number
from app.db import session_scope
from app.runs import outputs
from app.runs.hosted_files import write_whole
from app.runs.reply_plan import Plan
from app.runs.reply_rows import rows_of
from app.storage import run_folder
from app.tables import Dataset, ReplyRow, Run

PREDICTED = ("validation", "test")


def write_predictions(run: Run, plan: Plan, decoding: dict[str, Any]) -> None:
    """out/predictions.jsonl (and out/predictions-validation.jsonl) and the decoding in out/resolved.json."""
    folder = run_folder(run.id or 0)
    for part in PART_NAMES:
        with session_scope(write=False) as session:
            rows = rows_of(session, run.id or 0, part)
            dataset = session.get_one(Dataset, run.dataset_id)
            items = items_by_number(session, dataset, None, [row.number for row in rows])
        if rows:
            name = "predictions.jsonl" if part == "test" else f"predictions-{part}.jsonl"
            lines = (json.dumps(_line(row, items[row.number]), ensure_ascii=False) for row in rows)
            text = "".join(f"{line}\n" for line in lines)
            write_whole(folder / "out" / name, text.encode("utf-8", "replace"))
    resolved = {**outputs.read_json(folder, "resolved.json"), "decoding": decoding}
    text = json.dumps(resolved, indent=2, ensure_ascii=False)
    write_whole(folder / "out" / "resolved.json", text.encode("utf-8", "replace"))


def _line(row: ReplyRow, item: StoredItem) -> dict[str, Any]:
    """As app/evaluations/finish.py reads it."""
    return {
        "item": item.item_id,
        "number": row.number,
        "answer": row.answer,
        "p": row.p,
        "logprob": row.logprob,
        "latency_ms": row.latency_ms,
        "tokens": row.output_tokens,
        "error": row.error,
    }
