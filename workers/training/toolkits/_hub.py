"""What toolkits on top of Hugging Face's Trainer share: rows, progress lines, adapters, predicting. Used by their files."""

import ast
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..failures import Failure
from ..files import read_json, write_folder
from ..job import Job, plain_chat
from ._progress import Step

# A dict on a line of its own, as Trainer prints it; newer versions quote every value.
DICT = re.compile(r"\{'.*\}")
WEIGHTS = ("adapter_config.json", "adapter_model.safetensors")


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    """One line of JSON for each row."""
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def chats(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows as {"messages": [{"role", "content"}]}, the form that most toolkits read."""
    return [{"messages": _turns(row["messages"])} for row in rows]


def halves(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows as {"prompt": [turns], "completion": [the answer]}: loss on the answer whatever the template."""
    turns = [_turns(row["messages"]) for row in rows]
    return [{"prompt": chat[:-1], "completion": chat[-1:]} for chat in turns]


def _turns(messages: list[dict[str, Any]]) -> list[dict[str, str]]:
    return [{"role": turn["role"], "content": turn["content"]} for turn in plain_chat(messages)]


def encoder_of(job: Job, base: str) -> Any:
    """The ChatEncoder of the base model, with which the built-in trainer trains and everything predicts."""
    from ..hub_chat import ChatEncoder
    from ..hub_model import load_tokenizer

    tokenizer = load_tokenizer(replace(job, model_path=base))
    return ChatEncoder(tokenizer, int(job.values["max_seq_len"]), job.train[0])


def token_rows(job: Job, base: str) -> list[dict[str, Any]]:
    """Rows as {"input_ids", "attention_mask", "labels"}, -100 where no loss is taken: the tokens of the built-in trainer."""
    encoder, rows = encoder_of(job, base), []
    for row in job.train:
        tokens, trained = encoder.row(row)
        labels = [token if wanted else -100 for token, wanted in zip(tokens, trained, strict=True)]
        rows.append({"input_ids": tokens, "attention_mask": [1] * len(tokens), "labels": labels})
    return rows


def read_dict(line: str) -> Step | None:
    """A Step of a line such as {'loss': '9.96', 'learning_rate': '2e-4', 'epoch': '0.27'}."""
    match = DICT.search(line)
    if match is None:
        return None
    try:
        found = ast.literal_eval(match.group())
    except (ValueError, SyntaxError):
        return None
    return step_of(found) if isinstance(found, dict) else None


def step_of(found: dict[str, Any]) -> Step | None:
    """A Step of Trainer's log entry; None for one that tells neither loss."""
    loss, validation = number(found.get("loss")), number(found.get("eval_loss"))
    if loss is None and validation is None:
        return None
    return Step(
        epoch=number(found.get("epoch")),
        loss=loss,
        validation_loss=validation,
        learning_rate=number(found.get("learning_rate")),
    )


def number(value: Any) -> float | None:
    """A finite number, also one that was written as text; else None."""
    try:
        found = float(value)
    except (TypeError, ValueError):
        return None
    return found if found - found == 0 else None


def keep_adapter(job: Job, where: Path) -> None:
    """Moves what PEFT wrote into `where` to out/adapter: weights, configuration, nothing that runs code when read."""
    if not all((where / name).is_file() for name in WEIGHTS):
        raise Failure(
            "The toolkit ended without an adapter.",
            "The log below says what stopped it; mend that, then retry.",
        )

    def fill(folder: Path) -> None:
        for name in WEIGHTS:
            shutil.copy2(where / name, folder / name)
        name_base(folder, str(job.config["model_path"]).removeprefix("./"))

    write_folder(job.out / "adapter", fill)


def keep_model(job: Job, where: Path) -> None:
    """Moves a whole model with its tokenizer to out/model."""
    if not (where / "config.json").is_file() or not any(where.glob("*.safetensors")):
        raise Failure(
            "The toolkit ended without a model.", "The log below says what stopped it; mend that, then retry."
        )

    def fill(folder: Path) -> None:
        for file in sorted(where.iterdir()):
            if file.is_file() and file.suffix in (".safetensors", ".json", ".jinja", ".model", ".txt"):
                shutil.copy2(file, folder / file.name)

    write_folder(job.out / "model", fill)


def name_base(folder: Path, name: str) -> None:
    """The adapter names its base as the bundle does, not by a folder of the machine that trained it."""
    from ..hub_model import name_base as rename

    rename(folder, name)


def predict(job: Job, reporter: Any, base: str, values: dict[str, Any]) -> None:
    """Answers the test items with out/adapter or out/model."""
    from ..hub_predict import predict_peft, predict_whole

    values = {"max_seq_len": 1024, **values}
    if (job.out / "adapter").is_dir():
        predict_peft(job, reporter, base, job.out / "adapter", values)
    else:
        predict_whole(job, reporter, base, job.out / "model", values)


def adapter_values(job: Job) -> dict[str, Any]:
    """What the trained adapter says of itself, by PEFT's names."""
    return read_json(job.out / "adapter" / "adapter_config.json")
