"""Old names of models as JSON, at /api/v1/aliases."""

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, Field

from app.door.aliases import list_aliases, remove_alias, set_alias
from app.web.session import Acting, Database

router = APIRouter()


class AliasBody(BaseModel):
    """A name that scripts use, and the model that shall answer to it: a name of /v1/models."""

    name: str = Field(max_length=1000)
    model: str = Field(max_length=1000)
    note: str = Field("", max_length=2000)


@router.get("/aliases")
def get_aliases(session: Database, actor: Acting) -> dict[str, Any]:
    """The project's old names; `trouble` says why nothing answers to one."""
    return {"aliases": [asdict(line) for line in list_aliases(session, actor)]}


@router.post("/aliases", status_code=201)
def post_alias(body: AliasBody, session: Database, actor: Acting) -> dict[str, Any]:
    """Maps a name, or maps it anew."""
    row = set_alias(session, actor, body.name, body.model, body.note)
    return {"id": row.id, "name": row.name, "model": row.model, "note": row.note}


@router.delete("/aliases/{alias_id}", status_code=204)
def delete_alias(alias_id: int, session: Database, actor: Acting) -> None:
    """Takes a name away."""
    remove_alias(session, actor, alias_id)
