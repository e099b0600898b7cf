"""How a trained model is asked for its answers: the hyperparameters that every local trainer shares, and what is wrong
with them. The process that trains reads them in workers/training (constrained.py, engine.py, vllm_engine.py)."""

import json
from collections.abc import Mapping
from typing import Any

from app.hyperparameters import Hyperparameter

FREE, LABELS, JSON_SCHEMA = "free", "labels", "json_schema"
LONGEST_SCHEMA = 20_000

AT_ONCE = Hyperparameter(
    "predict_batch_size", "Items at once when predicting", "int", 64,
    "At most so many; fewer where they are long or the memory does not suffice. The answers are the same with any number.",
    minimum=1, maximum=4096,
)  # fmt: skip
DECODING = Hyperparameter(
    "decoding", "Decoding", "choice", FREE,
    "free: what the model writes, comparable with every other run. labels: the most probable label, so that each answer "
    "is one. json_schema: only what the answer schema allows.",
    choices=(FREE, LABELS, JSON_SCHEMA),
)  # fmt: skip
SCHEMA = Hyperparameter(
    "answer_schema", "Answer schema", "text", "",
    "The JSON schema of the answers, for decoding json_schema; suggested where all rows of the data set have the same "
    "response_format.",
    maximum=LONGEST_SCHEMA,
)  # fmt: skip
PREDICTOR = Hyperparameter(
    "predictor", "Predictor", "choice", "auto",
    "auto: vLLM where it is installed beside an NVIDIA GPU and takes the model, else Transformers.",
    choices=("auto", "transformers", "vllm"),
)  # fmt: skip


def problems(label: str, task: str, values: Mapping[str, Any]) -> list[str]:
    """What is wrong with the decoding, as sentences; `label` is the model's."""
    way = values.get(DECODING.name, FREE)
    if way == LABELS and task != "classification":
        return [f"{label}: the answers of the task {task!r} are no set of labels. Take decoding free."]
    if way == JSON_SCHEMA and not _is_object(str(values.get(SCHEMA.name) or "")):
        return [
            f"{label}: decoding json_schema needs a JSON schema (an object) as the answer schema. Write one there."
        ]
    return []


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False
