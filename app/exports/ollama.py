"""An Ollama Modelfile for a GGUF file: FROM, TEMPLATE, stop parameters. Pure; called by gguf.py.

Ollama has a template language of its own. The Jinja template is asked what it writes around each turn; what
cannot be told that way gets no TEMPLATE, and the Modelfile says so.
"""

import json
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from jinja2 import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

SYSTEM, USER, ANSWER, AGAIN = "⟦system⟧", "⟦user⟧", "⟦answer⟧", "⟦again⟧"
Chat = Sequence[Mapping[str, str]]
# The template came with a model: the sandbox keeps it from running code, this from looping for ever.
SECONDS = 2.0


@dataclass(frozen=True)
class Turns:
    """The text before and after each kind of turn, and `begin` before the first one."""

    begin: str
    system: tuple[str, str]
    user: tuple[str, str]
    answer: tuple[str, str]

    def render(self, chat: Chat) -> str:
        """The chat up to where the answer begins, as a plain concatenation of its turns."""
        around = {"system": self.system, "user": self.user, "assistant": self.answer}
        said = "".join(f"{around[m['role']][0]}{m['content']}{around[m['role']][1]}" for m in chat)
        return f"{self.begin}{said}{self.answer[0]}"


def turns_of(template: str, tokens: Mapping[str, str]) -> Turns | None:
    """What `template` writes around the turns; None when it does not simply join them.

    `tokens` are the special tokens it may name: {"bos_token": ..., "eos_token": ...}.
    """
    user, answer = _turn("user", USER), _turn("assistant", ANSWER)
    try:
        with _limited():
            return _found(template, tokens, user, answer)
    except (TemplateError, ValueError):
        return None


def _found(
    template: str, tokens: Mapping[str, str], user: Mapping[str, str], answer: Mapping[str, str]
) -> Turns | None:
    asked = _render(template, tokens, [user], True)
    closed = _render(template, tokens, [user, answer, _turn("user", AGAIN)], True)
    whole = _render(template, tokens, [user, answer], False)
    with_system = _render(template, tokens, [_turn("system", SYSTEM), user], True)
    before_user, after_user = asked.split(USER)
    _, middle = closed.split(USER)
    to_answer, rest = middle.split(ANSWER)
    to_user, _ = rest.split(AGAIN)
    ending = whole.split(ANSWER)[1]
    to_system, system_to_user = with_system.split(USER)[0].split(SYSTEM)
    opening = to_user.removeprefix(ending)
    begin = before_user.removesuffix(opening)
    # What asks for an answer is what stands before one, once the end of the user's turn is taken away.
    shared = _common(after_user, to_answer)
    turns = Turns(
        begin,
        (to_system.removeprefix(begin), system_to_user.removesuffix(opening)),
        (opening, ""),
        (shared, ending),
    )
    chat = [_turn("system", SYSTEM), user, answer, _turn("user", AGAIN)]
    same = turns.render(chat) == _render(template, tokens, chat, True) and turns.render([user]) == asked
    # Three quotes would end TEMPLATE, and what follows would be an instruction of the Modelfile.
    return turns if same and '"""' not in asked + closed + with_system else None


@contextmanager
def _limited() -> Iterator[None]:
    """Raises TemplateError in the block after SECONDS; workers make exports in their main thread, where timers are."""
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return

    def stop(_number: int, _frame: Any) -> None:
        raise TemplateError("the template does not end")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _common(a: str, b: str) -> str:
    return a if a == b else ""


def _turn(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


def _render(template: str, tokens: Mapping[str, str], chat: Chat, ask: bool) -> str:
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    environment.globals["raise_exception"] = _refuse
    made = environment.from_string(template)
    return made.render(**{"tools": None, **tokens}, messages=list(chat), add_generation_prompt=ask)


def _refuse(message: str) -> None:
    raise TemplateError(message)


def modelfile(file_name: str, turns: Turns | None, stops: Sequence[str], context: int) -> str:
    """The Modelfile. llama.cpp and Ollama put the beginning token there themselves, so `begin` is left out."""
    lines = [f"FROM ./{file_name}"]
    if turns is None:
        lines.append("# The chat template could not be put into Ollama's language: write TEMPLATE by hand.")
    else:
        lines.append(f'TEMPLATE """{_go(turns)}"""')
    lines += [f"PARAMETER stop {json.dumps(stop, ensure_ascii=False)}" for stop in stops]
    lines += [f"PARAMETER num_ctx {context}", "PARAMETER temperature 0"]
    return "\n".join(lines) + "\n"


def _go(turns: Turns) -> str:
    def turn(around: tuple[str, str]) -> str:
        return f"{_text(around[0])}{{{{ .Content }}}}{_text(around[1])}"

    return (
        '{{ range .Messages }}{{ if eq .Role "system" }}'
        + turn(turns.system)
        + '{{ else if eq .Role "assistant" }}'
        + turn(turns.answer)
        + "{{ else }}"
        + turn(turns.user)
        + "{{ end }}{{ end }}"
        + _text(turns.answer[0])
    )


def _text(text: str) -> str:
    """Text as a template writes it: braces that would begin an action are quoted."""
    return text.replace("{{", '{{ "{{" }}')
