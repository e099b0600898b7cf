"""Writes a Llama-shaped model as one GGUF file for llama.cpp, by the `gguf` package. Called by gguf.py.

Names and layout are those of llama.cpp's own converter (convert_hf_to_gguf.py, class LlamaModel): query and key
weights are permuted, because llama.cpp rotates neighbouring pairs where Transformers rotates halves.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from app.errors import Invalid
from app.exports.gguf_tokenizer import add_tokenizer
from app.exports.safetensors_file import StoredTensor, tensors
from app.exports.weights import architecture, model_config

if TYPE_CHECKING:
    import gguf

ARCHITECTURES = ("LlamaForCausalLM",)
OUTER = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
}
IN_LAYER = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
LAYER = re.compile(r"model\.layers\.(\d+)\.(.+)\.weight")
PRECISIONS = {"fp32": "ALL_F32", "fp16": "MOSTLY_F16"}


def why_not(folder: Path) -> str:
    """Why our own writer cannot write this model, or ""."""
    config = model_config(folder)
    if architecture(folder) not in ARCHITECTURES:
        return f"its architecture is {architecture(folder)}, not LlamaForCausalLM"
    if config.get("attention_bias") or config.get("mlp_bias"):
        return "its layers have biases"
    if _rope(config).get("rope_type", "default") != "default":
        return f"its positions are scaled ({_rope(config)['rope_type']})"
    return ""


def _rope(config: Mapping[str, Any]) -> dict[str, Any]:
    """Positions as transformers 5 writes them (rope_parameters) or transformers 4 (rope_theta, rope_scaling)."""
    scaling = dict(config.get("rope_scaling") or {})
    older = {"rope_theta": config.get("rope_theta", 10000.0), **scaling}
    if "type" in older:
        older.setdefault("rope_type", older["type"])
    return {**older, **(config.get("rope_parameters") or {})}


def write_gguf(
    folder: Path, path: Path, name: str, precision: str, template: str, say: Callable[[float, str], None]
) -> None:
    """Writes the model in `folder` to `path` as fp32 or fp16 (norms stay fp32), with `template` as its chat
    template. Memory holds one tensor at a time. Raises Invalid for what it does not know."""
    import gguf

    config = model_config(folder)
    stored = [(tensor, _name(tensor.name)) for tensor in tensors(folder)]
    if config.get("tie_word_embeddings"):
        stored = [pair for pair in stored if pair[1] != "output.weight"]
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name(name)
    writer.add_file_type(gguf.LlamaFileType[PRECISIONS[precision]])
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    _add_shape(writer, config)
    add_tokenizer(writer, folder, int(config["vocab_size"]), template)
    types = [_type(tensor, precision) for tensor, _ in stored]
    for (tensor, own), dtype in zip(stored, types, strict=True):
        size = int(np.prod(tensor.shape)) * np.dtype(dtype).itemsize
        writer.add_tensor_info(own, tensor.shape, np.dtype(dtype), size)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for place, ((tensor, own), dtype) in enumerate(zip(stored, types, strict=True)):
        say(place / len(stored), f"tensor {place + 1} of {len(stored)}")
        writer.write_tensor_data(np.ascontiguousarray(_values(tensor, own, config).astype(dtype)))
    writer.close()


def _add_shape(writer: "gguf.GGUFWriter", config: Mapping[str, Any]) -> None:
    heads = int(config["num_attention_heads"])
    head = int(config.get("head_dim") or config["hidden_size"] // heads)
    writer.add_vocab_size(int(config["vocab_size"]))
    writer.add_context_length(int(config["max_position_embeddings"]))
    writer.add_embedding_length(int(config["hidden_size"]))
    writer.add_block_count(int(config["num_hidden_layers"]))
    writer.add_feed_forward_length(int(config["intermediate_size"]))
    writer.add_head_count(heads)
    writer.add_head_count_kv(_kv_heads(config))
    writer.add_key_length(head)
    writer.add_value_length(head)
    writer.add_rope_dimension_count(head)
    writer.add_rope_freq_base(float(_rope(config)["rope_theta"]))
    writer.add_layer_norm_rms_eps(float(config["rms_norm_eps"]))


def _kv_heads(config: Mapping[str, Any]) -> int:
    return int(config.get("num_key_value_heads") or config["num_attention_heads"])


def _name(name: str) -> str:
    if name in OUTER:
        return OUTER[name]
    found = LAYER.fullmatch(name)
    if not found or found[2] not in IN_LAYER:
        raise Invalid(
            f"The tensor {name} is not part of a Llama as Tunebook knows it.",
            "Set TUNEBOOK_LLAMA_CPP to llama.cpp's folder, whose converter knows more models.",
        )
    return f"blk.{found[1]}.{IN_LAYER[found[2]]}.weight"


def _type(tensor: StoredTensor, precision: str) -> Any:
    return np.float16 if precision == "fp16" and len(tensor.shape) > 1 else np.float32


def _values(tensor: StoredTensor, own: str, config: Mapping[str, Any]) -> Any:
    values = tensor.read()
    if own.endswith("attn_q.weight"):
        return permute(values, int(config["num_attention_heads"]))
    return permute(values, _kv_heads(config)) if own.endswith("attn_k.weight") else values


def permute(weights: Any, heads: int) -> Any:
    """Rows of each head from (first half, second half) to neighbouring pairs."""
    rows, columns = weights.shape
    split = weights.reshape(heads, 2, rows // heads // 2, columns)
    return split.swapaxes(1, 2).reshape(rows, columns)
