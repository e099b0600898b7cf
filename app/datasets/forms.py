"""The dataset page's forms as values: a new split, and the columns of a table."""

from dataclasses import dataclass, field, replace

from starlette.datastructures import FormData

from app.datasets.make_split import SplitRequest
from app.errors import Invalid
from app.web.forms import text


@dataclass(frozen=True)
class SplitForm:
    """The split form as typed, so that it can be shown again; percentages are texts such as "10"."""

    kind: str = "seeded"
    name: str = ""
    test: str = "10"
    validation: str = "10"
    seed: str = "1"
    key: str = ""
    pattern: str = ""
    test_groups: str = ""
    validation_groups: str = ""
    errors: dict[str, str] = field(default_factory=dict)

    def error(self, kind: str, name: str) -> str:
        """The message by a field of the form that was sent; the other form stays clean."""
        return self.errors.get(name, "") if kind == self.kind else ""

    def with_errors(self, errors: dict[str, str]) -> "SplitForm":
        """The form as it was sent, with messages by its fields."""
        return replace(self, errors=errors)


def read_split_form(form: FormData) -> SplitForm:
    """The form as posted."""
    return SplitForm(
        kind="grouped" if text(form, "kind") == "grouped" else "seeded",
        name=text(form, "name")[:100],
        test=text(form, "test")[:20],
        validation=text(form, "validation")[:20],
        seed=text(form, "seed")[:20],
        key=text(form, "key")[:200],
        pattern=text(form, "pattern")[:1000],
        test_groups=text(form, "test_groups"),
        validation_groups=text(form, "validation_groups"),
    )


def split_request(form: SplitForm) -> SplitRequest:
    """The form as a request. Raises Invalid with a message for each field that cannot be read."""
    errors: dict[str, str] = {}
    test = _share(form.test, "test", errors)
    validation = _share(form.validation, "validation", errors)
    if not (form.seed.isascii() and form.seed.isdigit() and int(form.seed) < 2**31):
        errors["seed"] = "Write a whole number from 0 to 2,147,483,647."
    if form.kind == "grouped" and bool(form.key) == bool(form.pattern):
        errors["pattern"] = "Give a metadata key or a pattern, one of the two."
    if errors:
        raise Invalid("The split cannot be made as it is.", "Mend the fields that are marked.", errors)
    return SplitRequest(
        form.kind,
        form.name,
        int(form.seed),
        test,
        validation,
        form.key,
        form.pattern,
        _lines(form.test_groups),
        _lines(form.validation_groups),
    )


def _share(percent: str, name: str, errors: dict[str, str]) -> float:
    """A percentage as a share of 1."""
    try:
        share = float(percent.rstrip("% ").replace(",", ".")) / 100
    except ValueError:
        share = -1
    if not 0 <= share < 1:
        errors[name] = "Write a percentage from 0 to below 100."
    return share


def _lines(texts: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(line.strip() for line in texts.splitlines() if line.strip()))
