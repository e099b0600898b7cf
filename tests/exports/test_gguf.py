"""GGUF files by our own writer: read back, compared with what was written, and really asked."""

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.errors import Invalid
from app.exports.gguf_file import permute, why_not, write_gguf
from app.exports.gguf_tokenizer import chat_template, split_name
from app.exports.ollama import modelfile, turns_of
from app.exports.safetensors_file import tensors
from app.storage import export_file, run_folder
from tests.exports.conftest import export_now
from tests.training.bundles import items
from workers.training.starter_tokenizer import CHAT_TEMPLATE, SPLIT, make_tokenizer, save_tokenizer


def silent(fraction: float, sentence: str) -> None:
    """Progress that nobody reads."""


def make_llama(folder: Path, tied: bool = True, dtype: str = "float32", kv_heads: int = 2) -> Path:
    """A Llama of 0.1 M parameters with random weights, saved by Transformers."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = make_tokenizer(({"messages": [*i.prompt, i.answer_message]} for i in items(64, 1)), 400)
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=tokenizer.get_vocab_size() + 3, hidden_size=64, intermediate_size=128, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=kv_heads, max_position_embeddings=128, pad_token_id=0,
        eos_token_id=1, bos_token_id=None, initializer_range=0.15, tie_word_embeddings=tied,
    )  # fmt: skip
    LlamaForCausalLM(config).to(getattr(torch, dtype)).save_pretrained(folder)
    save_tokenizer(tokenizer, folder, 128)
    return folder


@pytest.mark.train
@pytest.mark.parametrize(
    ("tied", "dtype", "precision"), [(True, "float32", "fp32"), (False, "bfloat16", "fp16")]
)
def test_what_is_written_is_read_back(tmp_path: Path, tied: bool, dtype: str, precision: str) -> None:
    import gguf
    from safetensors.torch import load_file

    folder = make_llama(tmp_path / "model", tied, dtype)
    path = tmp_path / "model.gguf"
    assert why_not(folder) == ""
    write_gguf(folder, path, "small", precision, chat_template(folder), silent)
    reader = gguf.GGUFReader(path)
    fields = {name: field.contents() for name, field in reader.fields.items()}
    assert fields["general.architecture"] == "llama"
    assert (fields["llama.attention.head_count"], fields["llama.attention.head_count_kv"]) == (4, 2)
    assert (fields["tokenizer.ggml.model"], fields["tokenizer.ggml.pre"]) == ("gpt2", "gpt-4o")
    assert fields["tokenizer.ggml.eos_token_id"] == 1
    assert fields["tokenizer.ggml.add_bos_token"] is False
    types, tokens = fields["tokenizer.ggml.token_type"], fields["tokenizer.ggml.tokens"]
    assert types[:5] == [3] * 5, "special tokens are control tokens"
    assert types[-3:] == [5] * 3, "what only pads the vocabulary is unused"
    assert tokens[1] == "<|end|>"
    stored = load_file(folder / "model.safetensors")
    written = {tensor.name: tensor for tensor in reader.tensors}
    assert ("output.weight" in written) is (not tied)
    assert len(written) == 2 * 9 + 2 + (not tied)
    wanted = np.float32 if precision == "fp32" else np.float16
    for name, source in (
        ("token_embd", "model.embed_tokens"),
        ("blk.1.ffn_up", "model.layers.1.mlp.up_proj"),
    ):
        expected = stored[f"{source}.weight"].float().numpy().astype(wanted)
        assert np.array_equal(written[f"{name}.weight"].data, expected)
    keys = stored["model.layers.0.self_attn.k_proj.weight"].float().numpy()
    assert np.array_equal(written["blk.0.attn_k.weight"].data, permute(keys, 2).astype(wanted))
    assert written["blk.0.attn_norm.weight"].data.dtype == np.float32


def test_rows_of_a_head_become_pairs() -> None:
    rows = np.arange(8, dtype=np.float32).reshape(8, 1)
    assert permute(rows, 2)[:, 0].tolist() == [0, 2, 1, 3, 4, 6, 5, 7]


def test_the_split_of_the_starter_is_known_and_others_are_refused() -> None:
    level = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False}
    split = {"type": "Split", "pattern": {"Regex": SPLIT}, "behavior": "Isolated", "invert": False}
    made: dict[str, Any] = {"pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, level]}}
    assert split_name(made) == "gpt-4o"
    assert split_name({"pre_tokenizer": {**level, "use_regex": True}}) == "gpt-2"
    split["pattern"]["Regex"] = r"\w+"
    with pytest.raises(Invalid, match="not known here"):
        split_name(made)
    with pytest.raises(Invalid, match="way of its own"):
        split_name({"pre_tokenizer": {"type": "Metaspace"}})


def test_training_marks_leave_the_template(tmp_path: Path) -> None:
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"chat_template": CHAT_TEMPLATE}))
    template = chat_template(tmp_path)
    assert "{% generation" not in template
    assert "{%- generation" not in template
    chat = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes"}]
    text = ImmutableSandboxedEnvironment().from_string(template).render(messages=chat, tools=None)
    assert text == "<|user|>Hi<|assistant|>Yes<|end|>"


CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


@pytest.mark.parametrize(
    "template", [CHAT_TEMPLATE.replace("{%- generation %}", "").replace("{% endgeneration -%}", ""), CHATML]
)
def test_ollama_writes_the_same_turns(template: str) -> None:
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    turns = turns_of(template, {"eos_token": "<|end|>"})
    assert turns is not None
    chat = [
        {"role": r, "content": c}
        for r, c in (("system", "S"), ("user", "U"), ("assistant", "A"), ("user", "V"))
    ]
    wanted = (
        ImmutableSandboxedEnvironment()
        .from_string(template)
        .render(messages=chat, tools=None, add_generation_prompt=True)
    )
    assert turns.render(chat) == wanted
    made = modelfile("x.gguf", turns, ["<|end|>"], 512)
    assert made.startswith('FROM ./x.gguf\nTEMPLATE """{{ range .Messages }}')
    assert 'PARAMETER stop "<|end|>"\nPARAMETER num_ctx 512\n' in made


def test_a_template_that_does_not_join_turns_is_left_to_the_reader() -> None:
    odd = "{{ messages | length }}{% for m in messages %}{{ m.content }}{% endfor %}"
    assert turns_of(odd, {}) is None
    assert "write TEMPLATE by hand" in modelfile("x.gguf", None, [], 64)


def test_a_broken_weights_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"\xff" * 100)
    with pytest.raises(Invalid, match="longer than the file"):
        list(tensors(tmp_path))


@pytest.mark.train
def test_the_export_of_a_starter_is_a_zip_with_modelfile(client: Any, finished: Any, tmp_path: Path) -> None:
    run_id = finished("starter/tiny", "model")
    make_llama(run_folder(run_id) / "out" / "model")
    asked = client.post(f"/api/v1/runs/{run_id}/exports", json={"kind": "gguf", "precision": "fp32"})
    assert asked.status_code == 202, asked.text
    made = export_now(asked.json()["id"])
    assert (made.state, made.error) == ("ready", "")
    with zipfile.ZipFile(export_file(made.id or 0)) as archive:
        names = archive.namelist()
        file = f"run-{run_id}-starter-tiny-fp32.gguf"
        assert names == ["Modelfile", "README.md", file]
        assert "TEMPLATE" in archive.read("Modelfile").decode()
        assert 'PARAMETER stop "<|end|>"' in archive.read("Modelfile").decode()


def test_a_model_of_another_shape_needs_llama_cpp(client: Any, finished: Any) -> None:
    run_id = finished("hf/other", "model")
    folder = run_folder(run_id) / "out" / "model"
    (folder / "config.json").write_text(json.dumps({"architectures": ["Qwen2ForCausalLM"], "vocab_size": 9}))
    asked = client.post(f"/api/v1/runs/{run_id}/exports", json={"kind": "gguf"}).json()
    made = export_now(asked["id"])
    assert made.state == "failed"
    assert "Qwen2ForCausalLM" in made.error
    assert "TUNEBOOK_LLAMA_CPP" in made.hint
