"""The predictor of a Cog package: predict.py there, beside the folder `model`. Copied by app/exports/cog.py.

Stands alone: imports only cog, torch and transformers.
"""

from pathlib import Path
from typing import Any

from cog import BasePredictor, Input

MODEL = Path(__file__).resolve().parent / "model"
LONGEST_ANSWER = 512


class Predictor(BasePredictor):
    """Loads the model once, then answers one chat at a time, greedily."""

    def setup(self) -> None:
        """Loads the weights that lie in the package."""
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.tokenizer = AutoTokenizer.from_pretrained(MODEL, local_files_only=True)
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            MODEL, use_safetensors=True, local_files_only=True, dtype="auto"
        )
        self.model = loaded.to(self.device).eval()

    def predict(
        self,
        prompt: str = Input(description="What the user says."),
        system: str = Input(description="The system message; empty: none.", default=""),
        max_new_tokens: int = Input(
            description="The longest answer, in tokens.", default=64, ge=1, le=LONGEST_ANSWER
        ),
    ) -> str:
        """The answer as text, without special tokens."""
        ids = self._tokens(prompt, system)
        pad = self.tokenizer.pad_token_id
        made = self.model.generate(
            **ids,
            max_new_tokens=max_new_tokens,
            do_sample=False,
            pad_token_id=self.tokenizer.eos_token_id if pad is None else pad,
        )
        return str(self.tokenizer.decode(made[0, ids["input_ids"].shape[1] :], skip_special_tokens=True))

    def _tokens(self, prompt: str, system: str) -> Any:
        from jinja2.exceptions import TemplateError

        user = {"role": "user", "content": prompt}
        chat = [{"role": "system", "content": system}, user] if system else [user]
        try:
            return self._render(chat)
        except TemplateError:
            # A template without system messages: the two become one, as in training.
            return self._render([{"role": "user", "content": f"{system}\n\n{prompt}"}])

    def _render(self, chat: list[dict[str, str]]) -> Any:
        found: Any = self.tokenizer.apply_chat_template(
            chat, add_generation_prompt=True, return_tensors="pt", return_dict=True, enable_thinking=False
        )
        return {name: found[name].to(self.device) for name in ("input_ids", "attention_mask")}
