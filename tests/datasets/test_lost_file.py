"""A dataset's stored file that was deleted, cut short or changed: what still answers, what is refused, how it is mended."""

from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlmodel import Session, select

from app.datasets.lost import lost_datasets
from app.doctor_server import _datasets
from app.lab.actor import Actor
from app.tables import AuditEntry, Dataset, Run
from tests.datasets.checked import look, send
from tests.exports.paper import API, TEST_ITEMS, three_runs

NOTE = (
    "The file of this dataset is missing or damaged. Restore it from a backup, or upload the same file again"
)
TEXT = "sample 2: "


def unlinked(path: Path) -> None:
    path.unlink()


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def changed(path: Path) -> None:
    """Of the same length, so that only its bytes tell."""
    path.write_bytes(path.read_bytes().replace(b"sample 2: ", b"sample X: "))


@pytest.mark.laptop
def test_results_stay_and_downloads_say_what_is_lost(
    client: TestClient, session: Session, actor: Actor, home: Path
) -> None:
    runs = three_runs(session, actor, client)
    run = session.get_one(Run, runs[0])
    dataset, experiment, split = run.dataset_id, run.experiment_id, run.split_id
    sha256 = session.get_one(Dataset, dataset).sha256
    session.commit()
    path = home / "datasets" / str(dataset)
    good, chosen = path.read_bytes(), ",".join(map(str, runs))
    texts = [
        f"/runs/{runs[0]}",
        f"/runs/{runs[0]}/predictions.csv",
        f"{API}/comparisons/export?runs={chosen}&what=predictions&format=jsonl",
        f"{API}/runs/{runs[0]}/predictions.csv",
        f"/compare?runs={chosen}",
        f"/compare/export?runs={chosen}&what=wide&format=csv",
        f"/datasets/{dataset}",
        f"/datasets/{dataset}/items?part=test",
    ]
    others = [
        f"/experiments/{experiment}",
        f"/compare?runs={chosen}&q=zzz",
        f"/compare/export?runs={chosen}&what=scores&format=csv",
    ]
    refused = [
        f"/datasets/{dataset}/download",
        f"/datasets/{dataset}/splits/{split}.jsonl",
        f"{API}/datasets/{dataset}/file",
        f"{API}/datasets/{dataset}/splits/{split}.jsonl",
        f"{API}/datasets/{dataset}/items?part=test",
    ]
    for damage in (unlinked, cut, changed):
        damage(path)
        # Every page once; the other kinds of damage are read by the same code.
        for address in (*texts, *others) if damage is unlinked else texts[:2]:
            answer = client.get(address)
            assert answer.status_code == 200, (damage, address, answer.text[:300])
            assert (NOTE in answer.text) == (address in texts), (damage, address)
        for address in refused:
            answer = client.get(address)
            assert answer.status_code == 409, (damage, address)
            assert "upload the same file again" in answer.text
            assert sha256 in answer.text
        table = client.get(texts[1]).text
        assert table.count("\n") == TEST_ITEMS + 1
        assert "acid" in table
        back = client.post(f"{API}/datasets", files={"file": ("again.jsonl", good)})
        assert (back.status_code, back.json()["id"], back.json()["state"]) == (201, dataset, "ready")
        assert path.read_bytes() == good
        for address in (texts[0], *refused):
            answer = client.get(address)
            assert answer.status_code == 200, address
            assert NOTE not in answer.text
    told = [entry.about["mended"] for entry in session.exec(select(AuditEntry)) if "mended" in entry.about]
    assert told[0] == "its file is missing"
    assert told[1].startswith("its file has ")
    assert told[2:] == ["its file holds other bytes than were uploaded"]


@pytest.mark.laptop
def test_doctor_names_it_and_a_table_gets_its_rows_back(
    client: TestClient, session: Session, home: Path
) -> None:
    data = b"question,label\n" + b"".join(b"thing %d,%s\n" % (n, b"ab"[n % 2 : n % 2 + 1]) for n in range(40))
    made = send(client, data, "table.csv", mapping='{"prompt": "question", "answer": "label"}')
    other = send(client, data, "twin.csv", mapping='{"prompt": "question", "answer": "label"}')
    folder, items = home / "datasets", f"{API}/datasets/{made['id']}/items"
    before = client.get(items).json()
    assert _datasets().ok
    (folder / f"{made['id']}.rows").unlink()
    (folder / str(other["id"])).write_bytes(data[:100])
    assert [(each.id, each.name, how) for each, how in lost_datasets(session)] == [
        (made["id"], "table", "has lost its JSON Lines form"),
        (other["id"], "twin", f"has 100 bytes in place of {len(data)}"),
    ]
    session.commit()
    said = _datasets()
    assert not said.ok
    assert f"dataset {other['id']} (twin) has 100 bytes" in said.found
    assert client.get(items).status_code == 409
    assert "has lost its JSON Lines form" in client.get(f"/datasets/{made['id']}").text
    again = client.post("/datasets", files={"file": ("table.csv", data)}, follow_redirects=False)
    assert again.headers["location"] == f"/datasets/{other['id']}"
    assert _datasets().ok
    assert client.get(items).json() == before
    assert look(client, made["id"])["state"] == "ready"
