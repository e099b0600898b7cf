"""A tiny Gemma for the tests, in the form that a Hugging Face folder has."""

from pathlib import Path

from tests.training.bundles import items
from workers.training.starter_tokenizer import make_tokenizer, save_tokenizer


def make_gemma(folder: Path) -> Path:
    """A Gemma of 0.1 M parameters with random weights: two heads for keys and values, a vocabulary that a mesh divides."""
    import torch
    from transformers import GemmaConfig, GemmaForCausalLM

    tokenizer = make_tokenizer(({"messages": [*i.prompt, i.answer_message]} for i in items(64, 1)), 400)
    torch.manual_seed(1)
    config = GemmaConfig(
        vocab_size=-(-tokenizer.get_vocab_size() // 8) * 8, hidden_size=64, intermediate_size=128, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, head_dim=16, max_position_embeddings=128, pad_token_id=0,
        eos_token_id=1, bos_token_id=None, initializer_range=0.1,
    )  # fmt: skip
    GemmaForCausalLM(config).save_pretrained(folder)
    save_tokenizer(tokenizer, folder, 128)
    return folder
