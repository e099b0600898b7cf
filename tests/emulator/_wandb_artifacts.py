"""Artifacts as W&B keeps them: pending until committed, numbered by collection, named by aliases. For _wandb_graphql.py and
wandb.py."""

import base64
import hashlib
import json
from typing import Any

from tests.emulator._service import Call

MOMENT = "2026-11-25T00:00:00Z"
MANIFEST = {
    "version": 1,
    "storagePolicy": "wandb-storage-policy-v1",
    "storagePolicyConfig": {"storageLayout": "V2"},
}


class Wrong(Exception):
    """An answer of errors."""


def add(
    call: Call, place: tuple[str, str, str], name: str, digest: str, aliases: list[str], metadata: Any = None
) -> dict[str, Any]:
    """A pending artifact at (entity, project, type)."""
    artifact = {
        "id": base64.b64encode(call.world.new_id("Artifact:").encode()).decode(),
        "place": place,
        "name": name,
        "digest": digest,
        "aliases": aliases,
        "metadata": metadata,
        "state": "PENDING",
        "version": None,
        "files": {},
        "manifest": "",
    }
    return call.put("artifact", artifact["id"], artifact)


def versions(call: Call, name: str) -> list[dict[str, Any]]:
    """The committed artifacts of a collection, the oldest first."""
    found = [each for each in call.things("artifact").values() if each["name"] == name]
    return sorted((each for each in found if each["state"] == "COMMITTED"), key=lambda each: each["version"])


def stored(call: Call) -> list[str]:
    """The tokens of all files of committed artifacts."""
    done = [each for each in call.things("artifact").values() if each["state"] == "COMMITTED"]
    return [token for artifact in done for token in artifact["files"].values()]


def settle(call: Call, artifact: dict[str, Any]) -> None:
    """The artifact becomes the newest version of its collection, whose "latest" it takes."""
    before = versions(call, artifact["name"])
    for each in before:
        each["aliases"] = [alias for alias in each["aliases"] if alias != "latest"]
    artifact |= {"state": "COMMITTED", "version": len(before)}


def md5(content: bytes) -> str:
    return base64.b64encode(hashlib.md5(content).digest()).decode()


def shown(call: Call, artifact: dict[str, Any]) -> dict[str, Any]:
    """An artifact as the official package reads it."""
    project = project_of(artifact)
    collection = {"__typename": "ArtifactSequence", "name": artifact["name"], "project": project}
    aliases = [
        {"__typename": "ArtifactAlias", "id": alias, "alias": alias, "artifactCollection": collection}
        for alias in artifact["aliases"]
    ]
    sizes = [len(call.world.blobs[token]) for token in artifact["files"].values()]
    return {
        "__typename": "Artifact", "id": artifact["id"], "artifactSequence": collection, "description": None,
        "versionIndex": artifact["version"], "artifactType": {"name": artifact["place"][2]}, "tags": [],
        "metadata": artifact["metadata"], "ttlDurationSeconds": -2, "ttlIsInherited": True, "historyStep": None,
        "state": artifact["state"], "size": str(sum(sizes)), "digest": artifact["digest"],
        "digestAlgorithm": "MANIFEST_MD5", "commitHash": "0" * 20, "fileCount": len(sizes), "createdAt": MOMENT,
        "updatedAt": MOMENT, "aliases": aliases,
    }  # fmt: skip


def project_of(artifact: dict[str, Any]) -> dict[str, Any]:
    """Its project."""
    entity, project, _type = artifact["place"]
    return {"id": project, "internalId": "1", "name": project, "entity": {"name": entity}}


def named(call: Call, name: str, alias: str) -> dict[str, Any] | None:
    """The version that an alias ("latest", "step8") or a number ("v0") names."""
    asked = call.json["variables"]
    here = [each for each in versions(call, name) if each["place"][:2] == (asked["entity"], asked["project"])]
    return next((each for each in here if alias in (*each["aliases"], f"v{each['version']}")), None)


def check(call: Call, artifact: dict[str, Any], manifest: dict[str, Any]) -> None:
    """Raises Wrong where what was sent is not what the manifest says."""
    if {name: manifest.get(name) for name in MANIFEST} != MANIFEST:
        raise Wrong("the manifest is of an unknown version")
    for name, entry in sorted(manifest["contents"].items()):
        content = call.world.blobs.get(artifact["files"].get(name, ""))
        if content is None or (md5(content), len(content)) != (entry["digest"], entry["size"]):
            raise Wrong(f"{name} is not what the manifest says")
    if whole_digest(manifest["contents"]) != artifact["digest"]:
        raise Wrong("the artifact's digest is not that of its manifest")


def whole_digest(contents: dict[str, Any]) -> str:
    """The digest of an artifact, from the entries of its manifest."""
    whole = hashlib.md5(b"wandb-artifact-manifest-v1\n")
    for name, entry in sorted(contents.items()):
        whole.update(f"{name}:{entry['digest']}\n".encode())
    return whole.hexdigest()


def log(
    call: Call, place: tuple[str, str, str], name: str, aliases: list[str], files: dict[str, bytes]
) -> None:
    """An artifact that the service itself makes, committed at once."""
    contents = {
        file: {"digest": md5(content), "size": len(content), "birthArtifactID": "own"}
        for file, content in files.items()
    }
    artifact = add(call, place, name, whole_digest(contents), aliases)
    artifact["files"] = {
        file: call.world.put_blob(content).rpartition("/")[2] for file, content in files.items()
    }
    manifest = {**MANIFEST, "contents": contents}
    artifact["manifest"] = call.world.put_blob(json.dumps(manifest).encode()).rpartition("/")[2]
    settle(call, artifact)
