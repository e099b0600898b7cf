"""Chats as tokens of a Hugging Face model, by its own chat template. Used by hub.py for training and asking alike."""

from typing import Any

from .failures import Failure
from .job import plain_chat
from .template_limit import limited

# For models without a template of their own: plain text, the answer ended by the model's end token.
PLAIN_TEMPLATE = (
    "{%- for message in messages %}"
    "{%- if message.role == 'assistant' %}### Answer:\n"
    "{% generation %}{{ message.content }}{{ eos_token }}{% endgeneration %}"
    "{%- else %}{{ message.content }}{{ '\n\n' }}"
    "{%- endif -%}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt %}### Answer:\n{% endif -%}"
)


class ChatEncoder:
    """Rows as (tokens, which of them are trained on), prompts and labels as tokens."""

    def __init__(self, tokenizer: Any, longest: int, example: dict[str, Any]) -> None:
        if not tokenizer.chat_template:
            tokenizer.chat_template = PLAIN_TEMPLATE
        if tokenizer.pad_token_id is None:
            tokenizer.pad_token = tokenizer.eos_token
        if tokenizer.eos_token_id is None:
            raise Failure(
                "The model's tokenizer has no end token, so its answers would never end.",
                "Take a model whose tokenizer_config.json names an eos_token.",
            )
        self.tokenizer = tokenizer
        self._longest = longest
        self.cut = 0
        self._every_turn = (
            "{% generation" in tokenizer.chat_template or "{%- generation" in tokenizer.chat_template
        )
        self._merge_system = False
        self._merge_system = not self._renders(example)
        self.ends = {tokenizer.eos_token_id} | self._last_special(example)

    def _renders(self, example: dict[str, Any]) -> bool:
        """Whether the template takes the example as it is; some refuse a system message."""
        from jinja2.exceptions import TemplateError

        try:
            self._tokens(example["messages"], example.get("tools"))
        except TemplateError:
            return False
        return True

    def _last_special(self, example: dict[str, Any]) -> set[int]:
        """The special token that ends an answer in this template, where it is not the end token."""
        prompt, whole = self._pair(example)
        special = [token for token in whole[len(prompt) :] if token in self.tokenizer.all_special_ids]
        return set(special[-1:])

    def chat(self, messages: list[dict[str, Any]]) -> list[dict[str, str]]:
        """The messages as the template takes them: {role, content}, the system's within the user's first where it must."""
        chat = [{"role": turn["role"], "content": turn["content"]} for turn in plain_chat(messages)]
        if self._merge_system and len(chat) > 1 and chat[0]["role"] == "system":
            first = f"{chat[0]['content']}\n\n{chat[1]['content']}"
            chat = [{"role": chat[1]["role"], "content": first}, *chat[2:]]
        return chat

    def _tokens(self, messages: list[dict[str, Any]], tools: Any, **options: Any) -> Any:
        # Models that can think aloud are asked for the answer alone; other templates ignore the word.
        with limited():
            found = self.tokenizer.apply_chat_template(
                self.chat(messages),
                tools=tools or None,
                tokenize=True,
                return_dict=True,
                enable_thinking=False,
                **options,
            )
        return found if options.get("return_assistant_tokens_mask") else list(found["input_ids"])

    def _pair(self, row: dict[str, Any]) -> tuple[list[int], list[int]]:
        """(tokens of the prompt, tokens of the whole row), the second beginning with the first."""
        messages, tools = row["messages"], row.get("tools")
        prompt = self._tokens(messages[:-1], tools, add_generation_prompt=True)
        whole = self._tokens(messages, tools)
        same = next((n for n, (a, b) in enumerate(zip(prompt, whole, strict=False)) if a != b), len(prompt))
        return prompt[:same], whole

    def row(self, row: dict[str, Any]) -> tuple[list[int], list[bool]]:
        """The loss is taken on every answer where the template marks them, else on the last one.

        Too long rows lose their beginning.
        """
        prompt, whole = self._pair(row)
        trained = [False] * len(prompt) + [True] * (len(whole) - len(prompt))
        answers = [turn for turn in row["messages"] if turn["role"] == "assistant"]
        if self._every_turn and len(answers) > 1 and all(turn.get("weight") != 0 for turn in answers):
            marked = self._tokens(row["messages"], row.get("tools"), return_assistant_tokens_mask=True)
            trained = [bool(mark) for mark in marked["assistant_masks"]]
        if whole[-1] not in self.ends and not any(token in self.ends for token in whole[len(prompt) :]):
            whole, trained = [*whole, self.tokenizer.eos_token_id], [*trained, True]
        return self._end(whole, self._longest), trained[-self._longest :]

    def pair(self, row: dict[str, Any]) -> dict[str, list[int]]:
        """A row with a rejected answer as {"prompt_ids", "chosen_ids", "rejected_ids"}, both answers with their end.

        Too long rows lose the beginning of their prompt, and what of an answer still does not fit its end.
        """
        other = {**row, "messages": [*row["messages"][:-1], row["rejected"]]}
        prompts, answers = zip(*map(self._answered, (row, other)), strict=True)
        same = next(
            (n for n, (a, b) in enumerate(zip(*prompts, strict=False)) if a != b), min(map(len, prompts))
        )
        chosen, rejected = (prompts[side][same:] + answers[side] for side in (0, 1))
        prompt, room = prompts[0][:same], self._longest - max(len(chosen), len(rejected))
        self.cut += len(prompt) > room
        return {
            "prompt_ids": prompt[-max(1, room) :],
            "chosen_ids": chosen[: self._longest - 1],
            "rejected_ids": rejected[: self._longest - 1],
        }

    def _answered(self, row: dict[str, Any]) -> tuple[list[int], list[int]]:
        """(tokens of the prompt, tokens of the last answer with its end), uncut."""
        prompt, whole = self._pair(row)
        answer = whole[len(prompt) :]
        ended = any(token in self.ends for token in answer)
        return prompt, answer if ended else [*answer, self.tokenizer.eos_token_id]

    def prompt(self, row: dict[str, Any], room: int) -> list[int]:
        """The tokens of a test row up to where the answer begins, with `room` tokens left for it."""
        ids = self._tokens(row["prompt"], row.get("tools"), add_generation_prompt=True)
        return self._end(ids, self._longest - room)

    def _end(self, ids: list[int], room: int) -> list[int]:
        """The last `room` tokens; `cut` counts the rows that lost some."""
        self.cut += len(ids) > room
        return ids[-max(1, room) :]

    def label(self, row: dict[str, Any], label: str) -> list[int]:
        """The tokens of `label` as the answer to `row`, up to and with the end."""
        answered = {**row, "messages": [*row["prompt"], {"role": "assistant", "content": label}]}
        prompt, whole = self._pair(answered)
        answer = whole[len(prompt) :]
        last = next((place for place, token in enumerate(answer) if token in self.ends), None)
        return [*answer, self.tokenizer.eos_token_id] if last is None else answer[: last + 1]
