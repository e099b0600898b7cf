"""Secrets at rest."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from app.errors import Unavailable
from app.vault import key_file, seal, unseal


@pytest.mark.laptop
def test_sealed_text_comes_back_and_hides_it(home: Path) -> None:
    sealed = seal("sk-secret")
    assert "sk-secret" not in sealed
    assert unseal(sealed) == "sk-secret"
    assert seal("sk-secret") != sealed
    assert seal("") == unseal("") == ""


@pytest.mark.laptop
def test_key_file_is_its_owners_alone(home: Path) -> None:
    seal("x")
    assert key_file() == home / "vault.key"
    assert key_file().stat().st_mode & 0o777 == 0o600
    assert [path.name for path in home.glob("vault*")] == ["vault.key"]


@pytest.mark.laptop
def test_all_who_begin_at_once_use_one_key(home: Path) -> None:
    with ThreadPoolExecutor(16) as pool:
        sealed = list(pool.map(seal, [f"text {n}" for n in range(64)]))
    assert [unseal(each) for each in sealed] == [f"text {n}" for n in range(64)]


@pytest.mark.laptop
def test_another_key_says_what_to_do(home: Path) -> None:
    sealed = seal("sk-secret")
    key_file().unlink()
    seal("makes a new one")
    with pytest.raises(Unavailable) as error:
        unseal(sealed)
    assert "enter the key again" in error.value.hint
