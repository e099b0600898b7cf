"""README, .env.example, Makefile, Dockerfile and compose file say what is true."""

import re
import subprocess

import pytest

from app.config import Settings
from tests.source import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
VARIABLES = {f"TUNEBOOK_{name.upper()}" for name in Settings.model_fields}
# Between Tunebook's own processes, not for people.
INTERNAL = {"TUNEBOOK_TETHER", "TUNEBOOK_LISTEN_FD"}
# Of the client and the command line, not of the server.
CLIENT = {"TUNEBOOK_URL", "TUNEBOOK_TOKEN"}


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_has_a_row_with_its_default(name):
    field = Settings.model_fields[name]
    row = re.search(rf"^\| `TUNEBOOK_{name.upper()}` \| (.+?) \| (.+) \|$", README, re.M)
    assert row, f"add a row for TUNEBOOK_{name.upper()} to the README's table: {field.description}"
    if isinstance(field.default, bool):
        assert row[1] == f"`{int(field.default)}`"
    elif isinstance(field.default, int | float) and name != "max_upload_bytes":
        assert float(row[1].strip("`")) == field.default
    elif field.default and isinstance(field.default, str) and name != "trainer_python":
        assert row[1] == f"`{field.default}`"


def test_no_variable_is_named_that_is_none():
    for name in (
        "README.md",
        "CONTRIBUTING.md",
        ".env.example",
        "docker-compose.yml",
        "Dockerfile",
        "Makefile",
    ):
        named = set(re.findall(r"TUNEBOOK_[A-Z0-9_]*[A-Z0-9]", (ROOT / name).read_text(encoding="utf-8")))
        files = {f"{variable}_FILE" for variable in VARIABLES}
        assert named <= VARIABLES | files | INTERNAL | CLIENT, name


def test_make_has_what_the_readme_names():
    menu = subprocess.run(["make", "-s", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    targets = set(re.findall(r"^  make ([a-z-]+)", menu, re.M))
    named = set(re.findall(r"`?make (?:-s )?([a-z-]+)(?=[ `)\n])", README)) - {"alone"}
    assert {"up", "test"} <= named
    assert named <= targets | {"nothing"}
    for target in targets:
        planned = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True)
        assert planned.returncode == 0, planned.stderr


def test_links_lead_somewhere():
    for document in ROOT.glob("*.md"):
        for link in re.findall(r"\]\(([^)#:]+)\)", document.read_text(encoding="utf-8")):
            if link != "docs/screenshot.png":
                assert (ROOT / link).exists(), f"{document.name}: {link}"


def test_the_licence_is_whole():
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License" in text
    assert "END OF TERMS AND CONDITIONS" in text
