"""The endpoint form as plain values."""

import math

from starlette.datastructures import FormData

from app.errors import Invalid
from app.settings.endpoints import NewEndpoint
from app.web.forms import text

FIELDS = ("name", "base_url", "model", "input_price", "output_price")


def read_endpoint(form: FormData) -> NewEndpoint:
    """What was entered; raises Invalid for a price that is no number."""
    wrong: dict[str, str] = {}

    def price(name: str) -> float | None:
        written = text(form, name)
        try:
            value = float(written) if written else None
        except ValueError:
            value = math.nan
        if value is not None and not math.isfinite(value):
            wrong[name] = "Write a number, such as 0.15."
            return None
        return value

    prices = price("input_price"), price("output_price")
    if wrong:
        raise Invalid("The prices cannot be read.", "Write dollars for a million tokens.", wrong)
    key = text(form, "key")
    return NewEndpoint(text(form, "name"), text(form, "base_url"), text(form, "model"), key, *prices)


def typed(form: FormData) -> dict[str, str]:
    """The fields to show again; never the key."""
    return {name: text(form, name) for name in FIELDS}
