"""W&B's GraphQL as far as artifacts need it: what the official package asks (checked by itself, see
tests/providers/test_wandb_sdk.py) and what Tunebook asks. Every operation's variables are checked; what an artifact holds
is checked against its manifest, size by size and digest by digest, before it is committed."""

import json
import re
from collections.abc import Callable
from typing import Any

from jsonschema import Draft202012Validator

from tests.emulator._service import Answer, Call
from tests.emulator._wandb_artifacts import (
    MOMENT,
    Wrong,
    add,
    check,
    md5,
    named,
    settle,
    shown,
    stored,
    versions,
)

CREATE = {
    "type": "object",
    "required": ["entityName", "projectName", "artifactTypeName", "digest", "clientID", "sequenceClientID"],
    "properties": {
        **{
            name: {"type": "string", "minLength": 1}
            for name in ("entityName", "projectName", "runName", "artifactTypeName", "artifactCollectionName")
        },
        "digest": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
        "digestAlgorithm": {"enum": ["MANIFEST_MD5"]},
        **{name: {"type": "string", "minLength": 1} for name in ("clientID", "sequenceClientID")},
        "aliases": {"type": ["array", "null"]},
        "tags": {"type": ["array", "null"]},
        "metadata": {"type": ["string", "null"]},
        "description": {"type": ["string", "null"]},
        "enableDigestDeduplication": {"type": ["boolean", "null"]},
        **{
            name: {}
            for name in (
                "artifactCollectionNames", "clientMutationId", "distributedID", "historyStep", "labels", "storageRegion",
                "ttlDurationSeconds",
            )
        },
    },
    "additionalProperties": False,
}  # fmt: skip
SPEC = {
    "type": "object",
    "required": ["artifactFiles", "storageLayout"],
    "properties": {
        "artifactFiles": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["artifactID", "name", "md5"],
                "properties": {
                    **{name: {"type": "string"} for name in ("artifactID", "name", "md5", "digest")},
                    **{name: {} for name in ("artifactManifestID", "mimetype", "uploadPartsInput")},
                },
                "additionalProperties": False,
            },
        },
        "storageLayout": {"enum": ["V2"]},
        "clientMutationId": {},
        "cloudRegionID": {},
        "digestAlgorithm": {"enum": ["MANIFEST_MD5"]},
    },
    "additionalProperties": False,
}


def input_of(call: Call, schema: dict[str, Any]) -> dict[str, Any]:
    """The checked `input` variable."""
    given = variables(call)["input"]
    wrong = next(Draft202012Validator(schema).iter_errors(given), None)
    if wrong is not None:
        raise Wrong(f"input: {wrong.message[:200]}")
    return given


def variables(call: Call) -> dict[str, Any]:
    """The operation's variables."""
    return call.json.get("variables") or {}


def viewer(call: Call) -> Any:
    team = {"node": {"name": "lab"}}
    person = {"id": "VXNlcjox", "entity": "lab", "username": "lab", "email": "lab@example.org", "flags": "{}"}
    return {"viewer": {**person, "teams": {"edges": [team]}}}


def type_of(call: Call) -> Any:
    artifact = named(call, *variables(call)["name"].split(":"))
    return {"project": {"artifact": artifact and {"artifactType": {"name": artifact["place"][2]}}}}


def features(call: Call) -> Any:
    return {"serverInfo": {"features": []}}


def run_status(call: Call) -> Any:
    return {"model": None}


def upsert_run(call: Call) -> Any:
    given = variables(call)
    entity, project, name = given["entity"], given["project"], given["name"]
    new = name not in call.things("run")
    run = {"id": f"run-{name}", "name": name, "displayName": given.get("displayName"), "config": "{}"}
    run |= {"project": {"id": project, "name": project, "entity": {"id": entity, "name": entity}}}
    call.put("run", name, {**run, "description": None, "sweepName": None, "historyLineCount": 0})
    return {"upsertBucket": {"bucket": run, "inserted": new}}


def run_files(call: Call) -> Any:
    files = [{"name": name, "uploadUrl": call.world.upload_url()[0]} for name in variables(call)["files"]]
    run = variables(call)["run"]
    return {"createRunFiles": {"runID": f"run-{run}", "uploadHeaders": [], "files": files}}


def create_artifact(call: Call) -> Any:
    given = input_of(call, CREATE)
    if given["runName"] not in call.things("run"):
        raise Wrong(f"run {given['runName']} not found")
    name = given["artifactCollectionName"]
    same = [each for each in versions(call, name) if each["digest"] == given["digest"]]
    artifact = same[0] if same and given.get("enableDigestDeduplication") else None
    if artifact is None:
        aliases = [each["alias"] for each in given.get("aliases") or []]
        place = (given["entityName"], given["projectName"], given["artifactTypeName"])
        artifact = add(call, place, name, given["digest"], aliases, given.get("metadata"))
    latest = versions(call, name)
    sequence = {"latestArtifact": {"id": latest[-1]["id"]} if latest else None}
    shown = {"id": artifact["id"], "state": artifact["state"], "artifactSequence": sequence}
    return {"createArtifact": {"artifact": shown}}


def create_files(call: Call) -> Any:
    edges = []
    for spec in input_of(call, SPEC)["artifactFiles"]:
        artifact = call.thing("artifact", spec["artifactID"])
        token = next((old for old in stored(call) if md5(call.world.blobs[old]) == spec["md5"]), "")
        address = None if token else call.world.upload_url()
        artifact["files"][spec["name"]] = token or address[1]
        headers = [f"Content-MD5:{spec['md5']}", "Content-Type:application/octet-stream"]
        node = {"storagePath": spec["name"], "uploadUrl": address and address[0], "uploadHeaders": headers}
        edges.append({"node": {**node, "uploadMultipartUrls": None, "artifact": {"id": artifact["id"]}}})
    return {"createArtifactFiles": {"files": {"edges": edges}}}


def create_manifest(call: Call) -> Any:
    given = variables(call)
    artifact = call.thing("artifact", given["artifactID"])
    file: dict[str, Any] = {"id": "file"}
    if given["includeUpload"]:
        address, artifact["manifest"] = call.world.upload_url()
        artifact["manifest_digest"] = given["digest"]
        file |= {"uploadUrl": address, "uploadHeaders": [f"Content-MD5:{given['digest']}"]}
    return {
        "createArtifactManifest": {"artifactManifest": {"id": f"manifest-{artifact['id']}", "file": file}}
    }


def commit(call: Call) -> Any:
    artifact = call.thing("artifact", variables(call)["artifactID"])
    raw = call.world.blobs.get(artifact["manifest"], b"")
    if not raw or md5(raw) != artifact["manifest_digest"]:
        raise Wrong("the manifest was not uploaded as announced")
    check(call, artifact, json.loads(raw))
    settle(call, artifact)
    return {"commitArtifact": {"artifact": {"id": artifact["id"], "digest": artifact["digest"]}}}


def by_id(call: Call) -> Any:
    return {"artifact": shown(call, call.thing("artifact", variables(call)["id"]))}


def membership(call: Call) -> Any:
    name, _, alias = variables(call)["name"].partition(":")
    artifact = named(call, name, alias)
    if artifact is None:
        return {"project": {"artifactCollectionMembership": None}}
    whole = shown(call, artifact)
    member = {"__typename": "ArtifactCollectionMembership", "id": "m", "versionIndex": artifact["version"]}
    member |= {"createdAt": MOMENT, "aliases": whole["aliases"], "artifact": whole}
    return {
        "project": {
            "artifactCollectionMembership": {**member, "artifactCollection": whole["artifactSequence"]}
        }
    }


def manifest(call: Call) -> Any:
    artifact = call.thing("artifact", variables(call)["id"])
    address = call.world.url("_files", f"/{artifact['manifest']}")
    return {"artifact": {"currentManifest": {"file": {"directUrl": address}}}}


def list_versions(call: Call) -> Any:
    asked = variables(call)
    found = versions(call, asked["collection"])
    here = [each for each in found if each["place"] == (asked["entity"], asked["project"], asked["type"])]
    if not here:
        return {"project": {"artifactType": {"artifactCollection": None}}}
    page, info = paged([shown(call, each) for each in here], asked)
    artifacts = {"totalCount": len(here), "pageInfo": info, "edges": [{"node": each} for each in page]}
    return {"project": {"artifactType": {"artifactCollection": {"artifacts": artifacts}}}}


def addresses(call: Call) -> Any:
    artifact = named(call, variables(call)["collection"], variables(call)["alias"])
    if artifact is None:
        return {
            "project": {"artifactCollection": {"__typename": "ArtifactSequence", "artifactMembership": None}}
        }
    files = [
        {"__typename": "File", "name": name, "directUrl": call.world.url("_files", f"/{token}")}
        for name, token in sorted(artifact["files"].items())
    ]
    page, info = paged(files, variables(call))
    listed = {"pageInfo": info, "edges": [{"node": each} for each in page]}
    collection = {"__typename": "ArtifactSequence", "artifactMembership": {"files": listed}}
    return {"project": {"artifactCollection": collection}}


def paged(things: list[Any], asked: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """The page that `cursor` and `perPage` name, and its pageInfo."""
    start, most = int(asked.get("cursor") or 0), int(asked.get("perPage") or 50)
    info = {
        "__typename": "PageInfo",
        "endCursor": str(start + most),
        "hasNextPage": start + most < len(things),
    }
    return things[start : start + most], info


OPERATIONS: dict[str, Callable[[Call], Any]] = {
    "Viewer": viewer,
    "GetDefaultEntity": viewer,
    "ServerFeaturesQuery": features,
    "RunResumeStatus": run_status,
    "UpsertBucket": upsert_run,
    "CreateRunFiles": run_files,
    "CreateArtifact": create_artifact,
    "CreateArtifactFiles": create_files,
    "CreateArtifactManifest": create_manifest,
    "CommitArtifact": commit,
    "ArtifactType": type_of,
    "ArtifactByID": by_id,
    "ArtifactMembershipByName": membership,
    "FetchArtifactManifest": manifest,
    "ProjectArtifacts": list_versions,
    "GetArtifactMembershipFileUrls": addresses,
}


def graphql(call: Call) -> Any:
    """One call."""
    head = re.search(r"^\s*(?:query|mutation)\s+(\w+)\s*(\([^)]*\))?", call.json["query"])
    name = head[1] if head else ""
    act = OPERATIONS.get(name)
    if head is None or act is None or call.json.get("operationName") not in (None, "", name):
        return refusal(f'Unknown operation named "{name}".')
    declared = set(re.findall(r"\$(\w+)\s*:", head[2] or ""))
    strange = set(variables(call)) - declared
    if strange:
        return refusal(f"Variables {sorted(strange)} are not declared by {name}.")
    try:
        return {"data": act(call)}
    except Wrong as error:
        return Answer({"data": None, "errors": [{"message": str(error), "path": [name]}]})


def refusal(message: str) -> Answer:
    """A call that is no good GraphQL."""
    return Answer({"errors": [{"message": message}]}, 400)
