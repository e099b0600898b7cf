"""W&B's three hosts (training, GraphQL, inference) and one GraphQL call. Used by the other files of this folder."""

import base64
from collections.abc import Mapping
from typing import Any

from app import errors
from app.service_http import Access, Api
from app.service_json import mapping, rows, text

# As the official SDK (openpipe-art 0.5.18) and as the newer documentation name the training API.
BASE = "https://api.training.wandb.ai/v1"
PUBLISHED = (BASE, "https://forge.coreweave.com/api/training/v1")
GRAPHQL = "https://api.wandb.ai"
INFERENCE = "https://api.inference.wandb.ai/v1"


def place(api: Api) -> tuple[str, str]:
    """(entity, project) as entered. Raises errors.Refused where one of them is missing."""
    entity, project = (api.access.fields.get(name, "").strip() for name in ("entity", "project"))
    if not entity or not project:
        raise errors.Refused(
            "W&B needs an entity and a project.", "Enter both beside the key on the Settings page."
        )
    return entity, project


def graphql_api(api: Api) -> Api:
    """The host of runs and artifacts, which takes the key as a password; below the base URL where that was changed."""
    changed = api.access.base_url not in PUBLISHED
    host = api.access.base_url.removesuffix("/v1") if changed else GRAPHQL
    key = base64.b64encode(f"api:{api.access.key}".encode()).decode()
    access = Access(api.access.label, host, api.access.key, api.access.fields)
    return Api(access, api.client, {"authorization": f"Basic {key}"})


def inference_api(api: Api) -> Api:
    """The host of base models; below the base URL where that was changed. The project is named for the bill."""
    host = api.access.base_url if api.access.base_url not in PUBLISHED else INFERENCE
    access = Access(api.access.label, host, api.access.key, api.access.fields)
    headers = {"authorization": f"Bearer {api.access.key}", "openai-project": "/".join(place(api))}
    return Api(access, api.client, headers)


def query(api: Api, document: str, variables: Mapping[str, Any]) -> Mapping[str, Any]:
    """The `data` of one GraphQL call, whose name stands in the document. Raises as Api.call() does, and errors.Refused
    with the service's own sentences where it answers errors."""
    name = document.split("(")[0].split()[1]
    body = {"query": document, "variables": dict(variables), "operationName": name}
    answer = mapping(graphql_api(api).post("graphql", body))
    said = "; ".join(text(each, "message") for each in rows(answer, "errors"))
    if said:
        raise errors.Refused(f"{api.access.label} refused {name}: {api.safe(said)}")
    return mapping(answer, "data")
