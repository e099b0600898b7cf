"""W&B artifacts over its GraphQL and signed addresses: a training file put there, a LoRA adapter fetched.

The operations are those that the official package (wandb 0.31.0) sends: wandb-core for the upload, its generated
artifact queries for the download.
"""

import base64
import hashlib
import json
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from app import errors
from app.providers._weights import fetch_file, kept_name
from app.providers.wandb.hosts import graphql_api, place, query
from app.service_http import Api
from app.service_json import mapping, rows, text, whole

UPLOAD_SECONDS = 600.0
FILE = "train.jsonl"
STEP = re.compile(r"step(\d{1,9})")
FILES_AT_ONCE, MOST_PAGES = 100, 100
RUN = """mutation UpsertBucket($name: String, $project: String, $entity: String, $displayName: String) {
  upsertBucket(input: {name: $name, modelName: $project, entityName: $entity, displayName: $displayName}) {
    bucket { id name project { name entity { name } } }
    inserted
  }
}"""
CREATE = """mutation CreateArtifact($input: CreateArtifactInput!) {
  createArtifact(input: $input) { artifact { id state artifactSequence { latestArtifact { id } } } }
}"""
MANIFEST = """mutation CreateArtifactManifest($artifactID: ID!, $name: String!, $digest: String!, \
$entityName: String!, $projectName: String!, $runName: String!, $manifestType: ArtifactManifestType!, \
$includeUpload: Boolean!) {
  createArtifactManifest(input: {artifactID: $artifactID, name: $name, digest: $digest, entityName: $entityName, \
projectName: $projectName, runName: $runName, type: $manifestType}) {
    artifactManifest { id file { id uploadUrl @include(if: $includeUpload) uploadHeaders @include(if: $includeUpload) } }
  }
}"""
FILES = """mutation CreateArtifactFiles($input: CreateArtifactFilesInput!) {
  createArtifactFiles(input: $input) {
    files { edges { node { storagePath uploadUrl uploadHeaders artifact { id } } } }
  }
}"""
COMMIT = """mutation CommitArtifact($artifactID: ID!) {
  commitArtifact(input: {artifactID: $artifactID}) { artifact { id digest } }
}"""
BY_ID = "query ArtifactByID($id: ID!) { artifact(id: $id) { id state versionIndex } }"
VERSIONS = """query ProjectArtifacts($entity: String!, $project: String!, $type: String!, $collection: String!, \
$cursor: String, $perPage: Int) {
  project(entityName: $entity, name: $project) {
    artifactType(name: $type) {
      artifactCollection(name: $collection) {
        artifacts(after: $cursor, first: $perPage) {
          pageInfo { endCursor hasNextPage }
          edges { node { id state aliases { alias } } }
        }
      }
    }
  }
}"""
ADDRESSES = """query GetArtifactMembershipFileUrls($entity: String!, $project: String!, $collection: String!, \
$alias: String!, $cursor: String, $perPage: Int) {
  project(name: $project, entityName: $entity) {
    artifactCollection(name: $collection) {
      artifactMembership(aliasName: $alias) {
        files(after: $cursor, first: $perPage) {
          pageInfo { endCursor hasNextPage }
          edges { node { name directUrl } }
        }
      }
    }
  }
}"""


def put_file(api: Api, run: str, run_label: str, name: str, path: Path) -> str:
    """Logs the file as a data set artifact `name` of the run and gives its version ("v0"). Safe to repeat: the same
    bytes are the same version."""
    entity, project = place(api)
    named = {"name": run, "project": project, "entity": entity, "displayName": run_label}
    query(api, RUN, named)  # the training goes on with this run, which must be there
    digest, size = _md5(path), path.stat().st_size
    id, state = _create(api, run, name, digest)
    if state != "COMMITTED":
        where = {"artifactID": id, "entityName": entity, "projectName": project, "runName": run}
        birth = _send_content(api, where, digest, path)
        entry = {"digest": digest, "birthArtifactID": birth, "size": size}
        _send_manifest(api, where, {FILE: entry})
        query(api, COMMIT, {"artifactID": id})
    # Ends the run, as the SDK does before it asks for the training.
    ended = {"complete": True, "exitcode": 0}
    graphql_api(api).post(f"files/{entity}/{project}/{run}/file_stream", ended)
    version = whole(mapping(query(api, BY_ID, {"id": id}), "artifact"), "versionIndex")
    if version is None:
        raise api.unclear("named no version of the training file")
    return f"v{version}"


def _create(api: Api, run: str, name: str, digest: str) -> tuple[str, str]:
    """(id, state) of an artifact of this content, made now or before."""
    entity, project = place(api)
    whole_digest = hashlib.md5(
        f"wandb-artifact-manifest-v1\n{FILE}:{digest}\n".encode(), usedforsecurity=False
    )
    given = {
        "entityName": entity,
        "projectName": project,
        "runName": run,
        "artifactTypeName": "dataset",
        "artifactCollectionName": name,
        "digest": whole_digest.hexdigest(),
        "digestAlgorithm": "MANIFEST_MD5",
        "aliases": [{"artifactCollectionName": name, "alias": "latest"}],
        "metadata": json.dumps({"format": "jsonl"}),
        "enableDigestDeduplication": True,
        "clientID": secrets.token_hex(64),
        "sequenceClientID": secrets.token_hex(64),
    }
    made = mapping(query(api, CREATE, {"input": given}), "createArtifact", "artifact")
    if not text(made, "id"):
        raise api.unclear("sent no artifact id")
    return text(made, "id"), text(made, "state")


def _send_content(api: Api, where: Mapping[str, str], digest: str, path: Path) -> str:
    """Puts the file at its signed address; gives the id of the artifact that its bytes belong to."""
    manifest, _address, _headers = _manifest(api, where, "", upload=False)
    spec = {"artifactID": where["artifactID"], "name": FILE, "md5": digest, "artifactManifestID": manifest}
    asked = {"input": {"artifactFiles": [spec], "storageLayout": "V2"}}
    files = mapping(query(api, FILES, asked), "createArtifactFiles", "files")
    node = mapping(next(iter(rows(files, "edges")), {}), "node")
    birth = text(mapping(node, "artifact"), "id")
    if not birth:
        raise api.unclear("sent no address for the training file")
    if text(node, "uploadUrl"):  # none: the service has these bytes already
        with path.open("rb") as file:
            _put(api, text(node, "uploadUrl"), node, file, path.stat().st_size)
    return birth


def _send_manifest(api: Api, where: Mapping[str, str], contents: Mapping[str, Any]) -> None:
    """Puts the list of the artifact's files."""
    manifest = {
        "version": 1,
        "storagePolicy": "wandb-storage-policy-v1",
        "storagePolicyConfig": {"storageLayout": "V2"},
        "contents": contents,
    }
    body = json.dumps(manifest).encode()
    digest = base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
    _id, address, node = _manifest(api, where, digest, upload=True)
    if not address:
        raise api.unclear("sent no address for the manifest")
    _put(api, address, node, body, len(body))


def _manifest(
    api: Api, where: Mapping[str, str], digest: str, upload: bool
) -> tuple[str, str, Mapping[str, Any]]:
    """(id, address, file) of a manifest that is announced."""
    given = {**where, "name": "wandb_manifest.json", "digest": digest, "manifestType": "FULL"}
    answer = query(api, MANIFEST, {**given, "includeUpload": upload})
    found = mapping(answer, "createArtifactManifest", "artifactManifest")
    file = mapping(found, "file")
    return text(found, "id"), text(file, "uploadUrl"), file


def _put(api: Api, address: str, node: Mapping[str, Any], content: Any, size: int) -> None:
    """PUTs bytes with the headers that the service wrote as "name:value"."""
    given = node.get("uploadHeaders")
    pairs = [str(each).partition(":") for each in given] if isinstance(given, list) else []
    headers = {name.strip(): value.strip() for name, _, value in pairs} | {"content-length": str(size)}
    api.send("PUT", address, content=content, headers=headers, seconds=UPLOAD_SECONDS)


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        found = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False))
    return base64.b64encode(found.digest()).decode()


def last_step(api: Api, name: str) -> int | None:
    """The highest step of an adapter of this name; None where there is no such adapter. (The alias "latest" need not be
    the highest step.)"""
    entity, project = place(api)
    asked = {"entity": entity, "project": project, "type": "lora", "collection": name}
    steps = [
        int(found[1])
        for node in _pages(api, VERSIONS, asked, "artifactType", "artifactCollection", "artifacts")
        for alias in rows(node, "aliases")
        if (found := STEP.fullmatch(text(alias, "alias")))
    ]
    return max(steps, default=None)


def fetch_adapter(api: Api, name: str, alias: str, folder: Path) -> Sequence[Path]:
    """Writes an adapter's files into the folder; only kinds that cannot run are kept. Raises errors.Gone where it has
    none."""
    entity, project = place(api)
    folder.mkdir(parents=True, exist_ok=True)
    asked = {"entity": entity, "project": project, "collection": name, "alias": alias}
    written = []
    for node in _pages(api, ADDRESSES, asked, "artifactCollection", "artifactMembership", "files"):
        kept, address = kept_name(text(node, "name")), text(node, "directUrl")
        if kept and address and folder / kept not in written:
            written.append(fetch_file(api, address, folder / kept))
    if not written:
        raise errors.Gone(f"{api.access.label} has no files of the adapter {name}:{alias}.")
    return written


def _pages(api: Api, document: str, asked: Mapping[str, Any], *below: str) -> Iterator[Mapping[str, Any]]:
    """The nodes of every page of a list that stands below the project."""
    cursor: str | None = None
    for _ in range(MOST_PAGES):
        answer = query(api, document, {**asked, "cursor": cursor, "perPage": FILES_AT_ONCE})
        found = mapping(answer, "project", *below)
        yield from (mapping(edge, "node") for edge in rows(found, "edges"))
        page = mapping(found, "pageInfo")
        if page.get("hasNextPage") is not True or text(page, "endCursor") in ("", cursor):
            return
        cursor = text(page, "endCursor")
