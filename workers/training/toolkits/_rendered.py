"""Rows as the text that the model's own chat template gives, for toolkits that read text alone and make tokens of it
themselves. Used by autotrain.py and ludwig.py."""

from typing import Any

from ..failures import Failure
from ..template_limit import limited


def halves_of(encoder: Any, row: dict[str, Any]) -> tuple[str, str]:
    """(the prompt up to where the answer begins, the answer with what the template writes after it), as text; ("", the
    whole) where the template writes the prompt of an answered chat in another way."""
    tokenizer, tools = encoder.tokenizer, row.get("tools") or None
    prompt = _text(tokenizer, encoder.chat(row["messages"][:-1]), tools, add_generation_prompt=True)
    whole = _text(tokenizer, encoder.chat(row["messages"]), tools)
    return (prompt, whole[len(prompt) :]) if whole.startswith(prompt) else ("", whole)


def check(encoder: Any, row: dict[str, Any], read: list[int], toolkit: str) -> None:
    """Raises Failure where `read`, the tokens that the toolkit will train on, are others than those of the row when
    predicting; one more or less after the answer's end makes no difference, and a row that is cut
    when predicting is not compared."""
    cut = encoder.cut
    own = encoder.row(row)[0]
    if encoder.cut > cut:
        return
    shorter, longer = sorted((own, read), key=len)
    if longer[: len(shorter)] != shorter or len(longer) - len(shorter) > 1:
        raise Failure(
            f"{toolkit} would read line {row['line']} as other tokens than those that are predicted with: "
            f"...{encoder.tokenizer.decode(read)[-120:]!r} for ...{encoder.tokenizer.decode(own)[-120:]!r}.",
            "Train with another trainer, or take a model whose chat template can be written as plain text.",
        )


def _text(tokenizer: Any, chat: list[dict[str, str]], tools: Any, **options: Any) -> str:
    with limited():
        return str(
            tokenizer.apply_chat_template(chat, tools=tools, tokenize=False, enable_thinking=False, **options)
        )


def tokens_of(tokenizer: Any, text: str) -> list[int]:
    """The tokens of a text, none added."""
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])
