"""Reads the project's own source for tests of its rules: files, syntax trees, imports."""

import ast
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]


def tracked(*patterns: str) -> list[str]:
    """Files of the project by glob, as git sees them, new ones too; without git, as they lie."""
    listed = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "-co", "--exclude-standard", *patterns],
        capture_output=True,
        text=True,
    )
    if listed.returncode == 0:
        return [path for path in listed.stdout.split("\n") if path and (ROOT / path).exists()]
    return [str(found.relative_to(ROOT)) for each in patterns for found in ROOT.glob(f"**/{each}")]


PYTHON = tracked("*.py")
OURS = [path for path in PYTHON if path.startswith(("app/", "workers/"))]


@cache
def tree(path: str) -> ast.Module:
    return ast.parse((ROOT / path).read_text(encoding="utf-8"), path)


def module_name(path: str) -> str:
    """app/runs/steps.py -> app.runs.steps; a package's __init__.py -> the package."""
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


@cache
def imports(path: str, top_only: bool = False) -> tuple[tuple[str, int], ...]:
    """(module, line) of each import; `from a import b` gives a.b, since b may be a module."""
    return tuple(_imports(path, top_only))


def _imports(path: str, top_only: bool) -> Iterator[tuple[str, int]]:
    own = module_name(path)
    nodes = tree(path).body if top_only else ast.walk(tree(path))
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = own.split(".") if path.endswith("__init__.py") else own.split(".")[:-1]
            base = parts[: len(parts) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield from ((f"{module}.{alias.name}", node.lineno) for alias in node.names)


def layer(module: str) -> str:
    """app.runs.steps -> runs; app.db -> db."""
    return module.split(".")[1] if module.startswith("app.") else ""


def within(module: str, packages: tuple[str, ...]) -> bool:
    return any(module == each or module.startswith(f"{each}.") for each in packages)


def report(problems: list[str]) -> None:
    assert not problems, "\n" + "\n".join(problems)
