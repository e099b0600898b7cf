"""Really loads our GGUF files with llama.cpp's Python package and asks them: only in `make test-all`."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.exports.gguf_file import write_gguf
from app.exports.gguf_tokenizer import chat_template
from tests.training.bundles import answers, bundle, finish, job, values_of

PYTHON = os.environ.get("LLAMA_CPP_PYTHON", sys.executable)
ODD = "Na9GdCl7I5 héllo ÖÄ 😀  12345\n\tx"
ASK = """
import json, sys
from llama_cpp import Llama
model = Llama(sys.argv[1], n_ctx=256, n_threads=1, verbose=False)
chats = json.load(sys.stdin)
said = [model.create_chat_completion(chat, max_tokens=8, temperature=0) for chat in chats["chats"]]
tokens = model.tokenize(chats["odd"].encode(), add_bos=False, special=False)
print(json.dumps({"answers": [one["choices"][0]["message"]["content"] for one in said], "tokens": tokens}))
"""


@pytest.mark.slow
@pytest.mark.train
def test_llama_cpp_answers_as_transformers_does(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    if subprocess.run([PYTHON, "-c", "import llama_cpp"], capture_output=True).returncode:
        pytest.skip(
            "llama-cpp-python is not installed: GGUF files were not asked (pip install llama-cpp-python builds it "
            "in about 11 minutes; LLAMA_CPP_PYTHON names a Python that has it)"
        )
    folder = bundle(tmp_path / "run", job("starter/tiny", values_of("starter/tiny", epochs=6)), 400, 0, 60)
    assert finish(folder) == 0, (folder / "console.txt").read_text()
    model = folder / "out" / "model"
    rows = [json.loads(line) for line in (folder / "test.jsonl").read_text().splitlines()]
    given = json.dumps({"chats": [row["prompt"] for row in rows], "odd": ODD})
    ours = answers(folder)
    for precision in ("fp32", "fp16"):
        file = tmp_path / f"{precision}.gguf"
        write_gguf(model, file, "starter", precision, chat_template(model), lambda fraction, sentence: None)
        done = subprocess.run(
            [PYTHON, "-c", ASK, str(file)], input=given, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stderr
        said = json.loads(done.stdout)
        assert said["tokens"] == AutoTokenizer.from_pretrained(model).encode(ODD, add_special_tokens=False)
        same = sum(ours[row["item"]] == answer for row, answer in zip(rows, said["answers"], strict=True))
        # Exact at 32 bits; 16 bits may turn a close call.
        assert same >= (len(rows) if precision == "fp32" else len(rows) - 2)
