"""The form of the answer rules."""

from starlette.datastructures import FormData

from app.errors import Invalid
from app.evaluations.answers import Rules
from app.web.forms import text


def read_rules_form(form: FormData) -> Rules:
    """The rules as posted; raises Invalid with the field that cannot be used."""
    values = {
        "strip": form.get("strip") is not None,
        "ignore_case": form.get("ignore_case") is not None,
        "aliases": _aliases(text(form, "aliases")),
        "pattern": text(form, "pattern"),
        "absolute_tolerance": _tolerance(form, "absolute_tolerance"),
        "relative_tolerance": _tolerance(form, "relative_tolerance"),
    }
    try:
        return Rules.from_json(values)
    except ValueError as error:
        raise Invalid(
            f"These answer rules cannot be used: {error}",
            "Nothing was changed; mend the rule and score again.",
        ) from error


def _aliases(lines: str) -> dict[str, str]:
    aliases = {}
    for line in lines.splitlines():
        if line.strip():
            written, means, label = line.partition("=")
            if not means:
                raise Invalid(
                    f"The alias {line.strip()!r} has no `=`.", "Write one per line, for example V = VL."
                )
            aliases[written.strip()] = label.strip()
    return aliases


def _tolerance(form: FormData, name: str) -> float:
    value = text(form, name) or "0"
    try:
        return float(value)
    except ValueError:
        raise Invalid(f"The tolerance {value!r} is no number.", "Write for example 0.01.") from None
