"""The choice in a request's URL, as a dependency of the page, its parts and the figures."""

from typing import Annotated, Literal

from fastapi import Depends, Request

from app.comparisons.choice import Choice, read_choice


def asked(request: Request) -> Choice:
    """The choice in this request's URL; raises Invalid for what is none."""
    query = request.query_params
    return read_choice(query.getlist("runs"), query.getlist("without"), dict(query))


Subset = Literal["all", "unseen"]
Asked = Annotated[Choice, Depends(asked)]
