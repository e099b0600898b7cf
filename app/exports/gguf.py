"""The GGUF export: one zip with the model for llama.cpp, an Ollama Modelfile and a README."""

import json
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from app.config import settings
from app.errors import Invalid, Unavailable
from app.exports.gguf_file import PRECISIONS, why_not, write_gguf
from app.exports.gguf_tokenizer import chat_template, read_tokenizer, token_text
from app.exports.ollama import Turns, modelfile, turns_of
from app.exports.weights import architecture, base_name, model_config, model_name, whole_model
from app.exports.work import Made, Work
from app.runs.bundle import zip_folder

CONVERTER = "convert_hf_to_gguf.py"
OUTTYPES = {"fp32": "f32", "fp16": "f16"}
README = """# {name}

A model tuned with Tunebook, run {run}: {model}, seed {seed}. Precision {precision}, written by {writer}.

With Ollama, in this folder:

    ollama create {short} -f Modelfile
    ollama run {short}

With llama.cpp:

    llama-cli -m {file} -cnv --temp 0

The chat template stands in the file. Answers are greedy (temperature 0), as they were when the run was scored;
they can differ from the run's own in rare cases, because another program rounds differently.
"""


def check_precision(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """{"precision": "fp32" or "fp16"}; raises Invalid for another."""
    precision = str(parameters.get("precision") or "fp16")
    if precision not in PRECISIONS:
        raise Invalid(
            f"There is no precision {precision!r} here.",
            f"Choose one of {', '.join(PRECISIONS)}; quantise further with llama.cpp's llama-quantize.",
            {"precision": f"one of {', '.join(PRECISIONS)}"},
        )
    return {"precision": precision}


def make_gguf(work: Work) -> Made:
    """Merges if needed, converts, and packs."""
    precision = str(work.export.parameters["precision"])
    folder = whole_model(work)
    name = base_name(work.run)
    packed = work.folder / "packed"
    packed.mkdir()
    file = packed / f"{name}-{precision}.gguf"
    writer = _convert(work, folder, file, name, precision)
    turns = _turns(folder)
    stops = _stops(folder, turns)
    context = int(model_config(folder).get("max_position_embeddings") or 2048)
    (packed / "Modelfile").write_text(modelfile(file.name, turns, stops, context), encoding="utf-8")
    said = README.format(
        name=name, run=work.run.id, model=model_name(work.run), seed=work.run.seed, precision=precision,
        writer=writer, short=name.lower(), file=file.name,
    )  # fmt: skip
    (packed / "README.md").write_text(said, encoding="utf-8")
    work.say(0.95, "packing")
    with work.target.open("wb") as target:
        zip_folder(packed, target)
    return Made(f"{name}-{precision}-gguf.zip", {"architecture": architecture(folder), "writer": writer})


def _convert(work: Work, folder: Path, file: Path, name: str, precision: str) -> str:
    """Writes the file; says who wrote it."""
    reason = why_not(folder)
    if not reason:
        try:
            read_tokenizer(folder)
        except Invalid as error:
            reason = error.message.partition(": ")[2].rstrip(".")
    if not reason:
        write_gguf(folder, file, name, precision, chat_template(folder), work.say)
        return "Tunebook"
    converter = Path(settings().llama_cpp) / CONVERTER
    if not settings().llama_cpp or not converter.is_file():
        raise Unavailable(
            f"Tunebook's own GGUF writer cannot take this model: {reason}.",
            f"Set TUNEBOOK_LLAMA_CPP to llama.cpp's folder (the one with {CONVERTER}), then ask again.",
        )
    work.say(0.3, "llama.cpp converts")
    _run_converter(converter, folder, file, precision, work.say)
    return "llama.cpp's converter"


def _run_converter(
    converter: Path, folder: Path, file: Path, precision: str, say: Callable[[float, str], None]
) -> None:
    command = [
        settings().trainer_python, str(converter), str(folder), "--outfile", str(file), "--outtype",
        OUTTYPES[precision],
    ]  # fmt: skip
    log = file.with_suffix(".txt")
    with log.open("wb") as console:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=console, stderr=subprocess.STDOUT
        )
    try:
        while process.poll() is None:
            say(0.3, "llama.cpp converts")
            time.sleep(0.3)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
    last = (log.read_text(errors="replace").strip().splitlines() or [""])[-1]
    log.unlink()
    if process.returncode or not file.is_file():
        raise Unavailable(
            f"llama.cpp's converter ended with code {process.returncode}: {last[:500]}",
            "Its requirements must be installed for the Python that trains; see llama.cpp's README.",
        )


def _turns(folder: Path) -> Turns | None:
    names = ("bos_token", "eos_token")
    return turns_of(chat_template(folder), {name: token_text(folder, name) for name in names})


def _stops(folder: Path, turns: Turns | None) -> list[str]:
    """The end token and, where the template ends answers by another one, that one too."""
    ends = [token_text(folder, "eos_token")]
    if turns and turns.answer[1].strip():
        ends.append(turns.answer[1].strip())
    try:
        generation = json.loads((folder / "generation_config.json").read_text(encoding="utf-8"))
        vocabulary = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return list(dict.fromkeys(end for end in ends if end))
    wanted = generation.get("eos_token_id")
    numbers = set(wanted if isinstance(wanted, list) else [wanted])
    ends += [added["content"] for added in vocabulary.get("added_tokens") or [] if added["id"] in numbers]
    return list(dict.fromkeys(end for end in ends if end))
