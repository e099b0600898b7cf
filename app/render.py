"""Templates: one Jinja environment, strict about missing names. Foundation, so that a worker can render too."""

from functools import lru_cache
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from app.assets import TEMPLATES, asset
from app.format import FILTERS
from app.subpath import outside_all


@lru_cache
def environment() -> Environment:
    """The environment with our filters; everything is escaped, undefined names are errors."""
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(FILTERS)
    made.globals["asset"] = asset
    return made


def render(name: str, /, **context: Any) -> str:
    """The text of template `name`, for example "runs/page.html"."""
    return outside_all(environment().get_template(name).render(**context))
