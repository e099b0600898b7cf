"""What a hyperparameter is: its name, the form field it makes, its limits. Used by trainers, catalog and launch."""

from dataclasses import dataclass
from typing import Any

LONGEST_TEXT = 500
YES, NO = ("yes", "true", "on", "1"), ("no", "false", "off", "0")


@dataclass(frozen=True)
class Hyperparameter:
    """One value that a person may set. `kind` is int, float, choice, bool or text; `simple` puts it in the
    plan's first line instead of behind "All settings"."""

    name: str
    label: str
    kind: str
    default: Any
    help: str = ""
    unit: str = ""
    choices: tuple[Any, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    simple: bool = False
    # The objective that alone has it ("sft" or "dpo", see app/preferences.py); "": every one.
    only: str = ""

    def parse(self, raw: Any) -> Any:
        """`raw` (text of a form or a JSON value) as this hyperparameter's type.

        Raises ValueError with a sentence that names the value and what is allowed.
        """
        if self.kind == "choice":
            return self._choice(raw)
        if self.kind == "bool":
            return self._flag(raw)
        if self.kind == "text":
            return self._text(raw)
        return self._number(raw)

    def _text(self, raw: Any) -> str:
        text, most = str(raw).strip(), int(self.maximum or LONGEST_TEXT)
        if len(text) > most:
            raise ValueError(f"{self.label} has {len(text):,} characters; write at most {most:,}")
        return text

    def _choice(self, raw: Any) -> Any:
        for choice in self.choices:
            if raw == choice or str(raw).strip() == str(choice):
                return choice
        raise ValueError(f"{self.label} is {raw!r}; choose one of {', '.join(map(str, self.choices))}")

    def _flag(self, raw: Any) -> bool:
        if isinstance(raw, bool):
            return raw
        word = str(raw).strip().lower()
        if word not in YES + NO:
            raise ValueError(f"{self.label} is {raw!r}; write yes or no")
        return word in YES

    def _number(self, raw: Any) -> int | float:
        wanted = "a whole number" if self.kind == "int" else "a number"
        try:
            value = float(raw if not isinstance(raw, str) else raw.strip().replace(",", ""))
        except (TypeError, ValueError, OverflowError):
            value = float("nan")
        if isinstance(raw, bool) or value != value or (self.kind == "int" and value % 1):
            raise ValueError(f"{self.label} is {raw!r}; write {wanted}")
        low, high = self.minimum, self.maximum
        if (low is not None and value < low) or (high is not None and value > high) or abs(value) > 1e15:
            raise ValueError(f"{self.label} is {raw!r}; write {wanted} {self._range()}".rstrip())
        return int(value) if self.kind == "int" else value

    def _range(self) -> str:
        if self.minimum is not None and self.maximum is not None:
            return f"from {self.minimum:g} to {self.maximum:g}"
        return f"of at least {self.minimum:g}" if self.minimum is not None else ""
