"""The built-in samples: the same bytes everywhere, true to their own rules, ready when checked."""

import hashlib
import json

import pytest
from fastapi.testclient import TestClient

from app.datasets.samples import ROWS, SAMPLES, degrees_of_unsaturation, hill, plural_of
from tests.datasets.checked import look
from workers.datasets import check

HASHES = {
    "vowel-harmony": "ac4a216deeff2301ef6b6bd4593bb4bcd8d48d5c96546595322cbb639a5b848a",
    "unsaturation": "e92b181d07dfb0d1508931f3c985c1bcd1049fa32984fda76c03063687065e0e",
}


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_is_the_same_everywhere_and_has_no_leaks(client: TestClient, name: str) -> None:
    assert hashlib.sha256(SAMPLES[name].data()).hexdigest() == HASHES[name]
    made = client.post(f"/api/v1/samples/{name}")
    assert made.status_code == 201
    check(made.json()["id"])
    found = look(client, made.json()["id"])
    assert (found["state"], found["items"], found["warnings"]) == ("ready", ROWS, [])
    assert min(found["splits"].values()) > 100
    assert found["origin"] == SAMPLES[name].origin
    assert "family" in found["facts"]["metadata_keys"]


def test_unknown_sample(client: TestClient) -> None:
    assert client.post("/api/v1/samples/nothing").status_code == 404
    names = [sample["name"] for sample in client.get("/api/v1/samples").json()["samples"]]
    assert names == list(SAMPLES)


@pytest.mark.parametrize(
    ("stem", "ending"),
    [
        ("tala", "-lar"), ("tolu", "-lor"), ("tele", "-ler"), ("tülö", "-lör"), ("pitim", "-ner"),
        ("totim", "-nor"), ("tütin", "-nör"), ("fületo", "-lar"), ("fölün", "-nar"), ("tala-tele", "-ler"),
    ],
)  # fmt: skip
def test_sevrian_plurals(stem: str, ending: str) -> None:
    assert plural_of(stem) == ending


@pytest.mark.parametrize(
    ("atoms", "formula", "degrees"),
    [
        ({"C": 6, "H": 6}, "C6H6", 4),
        ({"C": 2, "H": 6, "O": 1}, "C2H6O", 0),
        ({"C": 5, "H": 5, "N": 1}, "C5H5N", 4),
        ({"C": 8, "H": 10, "N": 4, "O": 2}, "C8H10N4O2", 6),
        ({"C": 2, "H": 3, "Cl": 1}, "C2H3Cl", 1),
    ],
)
def test_degrees_of_unsaturation_of_known_molecules(
    atoms: dict[str, int], formula: str, degrees: int
) -> None:
    assert hill(atoms) == formula
    assert degrees_of_unsaturation(atoms) == degrees


def test_every_row_of_the_samples_obeys_its_rule() -> None:
    for line in SAMPLES["vowel-harmony"].data().splitlines():
        _, question, answer = json.loads(line)["messages"]
        assert plural_of(question["content"].removeprefix("Noun: ")) == answer["content"]
