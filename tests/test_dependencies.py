"""The installed packages are those in which known vulnerabilities are mended; docs/security.md says which."""

import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[1]
# Package: the first version with the mend, and what it mends.
LOWEST = {
    "starlette": ("0.49.1", "CVE-2025-62727, CVE-2024-47874, CVE-2023-30798, CVE-2023-29159"),
    "python-multipart": ("0.0.27", "CVE-2026-42561, CVE-2024-24762"),
    "fastapi": ("0.65.2", "CVE-2021-32677"),
    "jinja2": ("3.1.6", "CVE-2024-56326, CVE-2025-27516"),
    "uvicorn": ("0.11.7", "CVE-2020-7694, CVE-2020-7695"),
    "h11": ("0.16.0", "CVE-2025-43859"),
    "celery": ("5.2.2", "CVE-2021-23727"),
    "redis": ("4.5.5", "CVE-2023-28858, CVE-2023-28859"),
    "cryptography": ("44.0.1", "CVE-2024-12797"),
    "torch": ("2.10", "CVE-2025-32434, CVE-2026-24747"),
    "transformers": ("5.3.0", "CVE-2026-1839, CVE-2026-4372, CVE-2026-5241"),
    "orjson": ("3.9.15", "CVE-2024-27454"),
    "pyarrow": ("14.0.1", "CVE-2023-47248"),
    "pyyaml": ("5.4", "CVE-2020-14343"),
}


@pytest.mark.parametrize("name", LOWEST)
def test_installed_versions_hold_the_mends(name: str) -> None:
    lowest, mends = LOWEST[name]
    try:
        installed = metadata.version(name)
    except metadata.PackageNotFoundError:
        pytest.skip(f"{name} is not installed")
    assert Version(installed) >= Version(lowest), f"{name} {installed} has {mends}: install {lowest} or newer"


def test_no_allowed_version_lacks_a_mend() -> None:
    """What pyproject.toml lets pip take, where it names the package itself."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = [
        *project["dependencies"],
        *(line for each in project["optional-dependencies"].values() for line in each),
    ]
    asked = [Requirement(line) for line in lines]
    checked = 0
    for requirement in asked:
        lowest = LOWEST.get(requirement.name.lower(), ("", ""))[0]
        if not lowest or not requirement.specifier:
            continue
        below = [s for s in requirement.specifier if s.operator in (">=", "==", "~=")]
        assert any(Version(each.version) >= Version(lowest) for each in below), (
            f"{requirement} allows below {lowest}"
        )
        checked += 1
    assert checked >= 6
