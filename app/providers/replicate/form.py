"""The form of a trainer on Replicate: made from the input schema of its version, whose defaults go into the ledger."""

from collections.abc import Mapping
from typing import Any

from app.hyperparameters import Hyperparameter
from app.providers._shapes import Estimate, Example, Offer, TuningJob
from app.service_json import mapping, number, rows, text

# Our names for what trainers of language models call so.
OURS = {
    "num_train_epochs": "epochs",
    "train_batch_size": "batch_size",
    "gradient_accumulation_steps": "gradient_accumulation",
    "learning_rate": "learning_rate",
    "warmup_ratio": "warmup_ratio",
    "lora_rank": "lora_r",
    "lora_alpha": "lora_alpha",
    "lora_dropout": "lora_dropout",
    "pack_sequences": "packing",
    "chunk_size": "max_seq_len",
    "max_seq_length": "max_seq_len",
}
DATA = ("train_data", "training_data", "input_data", "dataset")
VALIDATION = ("validation_data", "val_data", "eval_data")
SIMPLE = ("epochs", "learning_rate", "batch_size", "lora_r")


def training_schema(raw: Mapping[str, Any]) -> Mapping[str, Any]:
    """The TrainingInput of a version; {} where the version trains nothing."""
    return mapping(raw, "openapi_schema", "components", "schemas", "TrainingInput")


def properties(offer: Offer) -> dict[str, Mapping[str, Any]]:
    """The schema's fields by the trainer's own names, in its order."""
    found = mapping(offer.limits, "properties")
    fields = {name: mapping(found, name) for name in found if mapping(found, name)}
    return dict(sorted(fields.items(), key=lambda pair: number(pair[1], "x-order") or 0))


def data_field(offer: Offer, names: tuple[str, ...] = DATA) -> str:
    """The field that takes a file, among `names`; "" where there is none."""
    fields = properties(offer)
    return next((name for name in names if name in fields), "")


def hyperparameters(offer: Offer) -> tuple[Hyperparameter, ...]:
    """One for each field that is no file and no seed."""
    found = (_field(offer, name, schema) for name, schema in properties(offer).items())
    return tuple(each for each in found if each is not None)


def _field(offer: Offer, name: str, schema: Mapping[str, Any]) -> Hyperparameter | None:
    if name in (*DATA, *VALIDATION, "seed") or text(schema, "format") == "uri":
        return None
    kind, choices = _kind(offer, schema)
    ours = OURS.get(name, name)
    return Hyperparameter(
        ours,
        text(schema, "title") or name.replace("_", " ").capitalize(),
        kind,
        schema.get("default"),
        text(schema, "description"),
        choices=choices,
        minimum=number(schema, "minimum"),
        maximum=number(schema, "maximum"),
        simple=ours in SIMPLE,
    )


def _kind(offer: Offer, schema: Mapping[str, Any]) -> tuple[str, tuple[Any, ...]]:
    # Choices stand in a schema of their own, which the field names: {"allOf": [{"$ref": "#/components/schemas/x"}]}.
    named = next((text(each, "$ref") for each in rows(schema, "allOf")), text(schema, "$ref"))
    listed = mapping(offer.limits, "enums").get(named.rpartition("/")[2]) if named else schema.get("enum")
    if isinstance(listed, list) and listed:
        return "choice", tuple(listed)
    kinds = {"integer": "int", "number": "float", "boolean": "bool"}
    return kinds.get(text(schema, "type"), "text"), ()


def suggest(offer: Offer, facts: Mapping[str, Any]) -> dict[str, Any]:
    """The schema's own defaults, so that each of them is sent and stands in the ledger."""
    return {field.name: field.default for field in hyperparameters(offer)}


def problems(job: TuningJob) -> list[str]:
    """What is known before anything is sent."""
    found = []
    if not job.offer.limits:
        found.append(f"The trainer {job.model} is not known yet: enter a key, and Tunebook reads its form.")
    elif not data_field(job.offer):
        found.append(f"The trainer {job.model} has no field for training data of text ({', '.join(DATA)}).")
    if job.method != "sft":
        found.append(f"Replicate's trainers take supervised examples, not {job.method!r}.")
    lacking = [
        name for name in _required(job.offer) if job.hyperparameters.get(OURS.get(name, name)) in (None, "")
    ]
    if lacking:
        found.append(f"The trainer wants a value for {', '.join(lacking)}.")
    return found


def _required(offer: Offer) -> list[str]:
    """The trainer's names of what must be given and has a field of the form."""
    wanted = offer.limits.get("required")
    shown = {field.name for field in hyperparameters(offer)}
    return [name for name in wanted if OURS.get(name, name) in shown] if isinstance(wanted, list) else []


def estimate(job: TuningJob) -> Estimate:
    """The service bills the seconds of its hardware and does not say how many it will take."""
    return Estimate(
        None, "billed by the second of the trainer's hardware, which its page names; not known before"
    )


def trainer_input(job: TuningJob, files: Mapping[str, str]) -> dict[str, Any]:
    """The `input` of a training: every value by the trainer's own name, the files, the seed where it takes one."""
    fields = properties(job.offer)
    known = {OURS.get(name, name): name for name in fields}
    given = {
        known[name]: value
        for name, value in job.hyperparameters.items()
        if name in known and value is not None
    }
    given[data_field(job.offer)] = files["train"]
    validation = data_field(job.offer, VALIDATION)
    if validation and files.get("validation"):
        given[validation] = files["validation"]
    if "seed" in fields:
        given["seed"] = job.seed
    return given


def resolved(offer_names: Mapping[str, Any]) -> dict[str, Any]:
    """A training's `input` by our names, without its files."""
    files = (*DATA, *VALIDATION)
    return {OURS.get(name, name): value for name, value in offer_names.items() if name not in files}


def prompt_of(messages: Any) -> str:
    """Chat messages as one text, as both training rows and questions hold it."""
    return "\n\n".join(str(each.get("content") or "") for each in messages)


def render(example: Example, job: TuningJob) -> Mapping[str, Any]:
    """One line of the training file: {"prompt", "completion"}, which trainers of language models take."""
    return {"prompt": prompt_of(example.messages), "completion": str(example.reply.get("content") or "")}
