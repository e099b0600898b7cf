"""The house's rules of thumb (CONTRIBUTING.md), read from the source: names, sizes, what code may not do."""

import ast
import re
from pathlib import Path

from tests.source import OURS, PYTHON, ROOT, imports, report, tracked, tree, within

MAY_PRINT = ("app/__main__.py", "workers/training/", "tests/", ".ci/")
WORDS = ("utils", "helpers", "manager", "common", "util", "helper", "misc")
LONGEST_FILE, LONGEST_FUNCTION, LONGEST_TEMPLATE = 300, 60, 150


def test_names_say_something():
    report(
        [
            f"{path}: '{Path(path).stem}' says nothing; name it after the idea it holds."
            for path in PYTHON
            if Path(path).stem.strip("_") in WORDS
        ]
    )


def test_no_pickle_and_no_shell():
    problems = []
    for path in OURS:
        problems += [
            f"{path}:{line}: {module} runs code from data; use JSON or safetensors."
            for module, line in imports(path)
            if within(module, ("pickle", "shelve", "marshal", "dill", "joblib", "cloudpickle"))
        ]
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.keyword) and node.arg == "shell":
                problems.append(f"{path}:{node.value.lineno}: no shell; pass the command as a list.")
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id in ("eval", "exec")
            ):
                problems.append(f"{path}:{node.lineno}: {node.func.id} runs code from data.")
    report(problems)


# Each of these runs code, or passes text off as safe, unless somebody has looked at the one place where it stands.
LOOKED_AT = {"app/comparisons/figure_routes.py": ("Markup",), "app/yaml_text.py": ("yaml.load",)}
UNSAFE_CALLS = (
    *(
        "os.system",
        "os.popen",
        "subprocess.getoutput",
        "subprocess.getstatusoutput",
        "torch.load",
        "yaml.load",
    ),
    *(
        "yaml.unsafe_load",
        "yaml.full_load",
        "Markup",
        "markupsafe.Markup",
        "numpy.load",
        "np.load",
        "jinja2.Template",
    ),
)


def test_no_call_runs_what_it_reads():
    problems = []
    for path in OURS:
        for node in ast.walk(tree(path)):
            if not isinstance(node, ast.Call):
                continue
            name = ast.unparse(node.func)
            if name in UNSAFE_CALLS and name not in LOOKED_AT.get(path, ()):
                problems.append(
                    f"{path}:{node.lineno}: {name} can run what it reads, or lets markup through."
                )
            problems += [
                f"{path}:{node.lineno}: {each.arg} runs code that comes with a model."
                for each in node.keywords
                if each.arg == "trust_remote_code" and getattr(each.value, "value", True) is not False
            ]
    report(problems)


def test_errors_are_named():
    allowed = ("workers/task.py", "app/web/errors.py")
    report(
        [
            f"{path}:{node.lineno} catches everything: name the error you expect. The one place for the rest is "
            f"{' and '.join(allowed)}."
            for path in OURS
            if path not in allowed
            for node in ast.walk(tree(path))
            if isinstance(node, ast.ExceptHandler)
            and (node.type is None or (isinstance(node.type, ast.Name) and node.type.id == "Exception"))
        ]
    )


def test_services_flush_and_never_commit():
    report(
        [
            f"{path}:{node.lineno} commits: a service flushes; the web session and workers/task.py commit."
            for path in OURS
            if path.startswith("app/") and path.count("/") > 1 and not path.startswith("app/web/")
            for node in ast.walk(tree(path))
            if isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == "commit"
        ]
    )


def test_printing_is_for_the_command_line():
    report(
        [
            f"{path}:{node.lineno} prints: use app.log.log, or answer with a value."
            for path in PYTHON
            if not path.startswith(MAY_PRINT)
            for node in ast.walk(tree(path))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
        ]
    )


def test_tables_keep_their_annotations():
    report(
        [
            f"{path}: `from __future__ import annotations` breaks SQLModel's relationships; remove it."
            for path in OURS
            if path.startswith("app/tables/")
            for module, _line in imports(path)
            if module == "__future__.annotations"
        ]
    )


def test_modules_say_what_they_are_for():
    report(
        [
            f"{path} has no docstring: say in a line or two what it is for and who calls it."
            for path in OURS
            if not ast.get_docstring(tree(path))
        ]
    )


def test_public_functions_say_what_they_do():
    report(
        [
            f"{path}:{node.lineno} {node.name} has no docstring."
            for path in OURS
            for node in tree(path).body
            if isinstance(node, ast.FunctionDef | ast.ClassDef)
            and not node.name.startswith("_")
            and not ast.get_docstring(node)
        ]
    )


def test_files_and_functions_are_short():
    problems = []
    for path in PYTHON:
        if path.startswith("migrations/versions/"):
            # A migration is a record: it is never changed again, only read.
            continue
        lines = (ROOT / path).read_text(encoding="utf-8").count("\n")
        if lines > LONGEST_FILE:
            problems.append(f"{path} has {lines} lines; split it by meaning below {LONGEST_FILE}.")
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or 0) - node.lineno + 1
                if length > LONGEST_FUNCTION:
                    problems.append(
                        f"{path}:{node.lineno} {node.name} has {length} lines; aim for 40, {LONGEST_FUNCTION} at most."
                    )
    report(problems)


def test_templates_are_short_and_hold_no_style_or_script():
    problems = []
    for path in tracked("*.html"):
        if not path.startswith("templates/"):
            continue
        text = (ROOT / path).read_text(encoding="utf-8")
        if text.count("\n") > LONGEST_TEMPLATE:
            problems.append(f"{path} has {text.count(chr(10))} lines; split off a fragment.")
        for pattern in (
            r"<style",
            r"\sstyle=",
            r"\son[a-z]+=",
            r"<script(?![^>]*\ssrc=)",
            r"\|\s*safe\b",
            r"\shx-on[:=-]",
        ):
            if found := re.search(pattern, text):
                line = text[: found.start()].count("\n") + 1
                problems.append(
                    f"{path}:{line} {found[0].strip()}: the security policy forbids it; use static/."
                )
    report(problems)


def test_templates_that_are_named_are_there():
    """First argument of fragment() and render(), second of page()."""
    places = {"fragment": 0, "render": 0, "page": 1}
    calls = [
        (path, node.lineno, node.args[places[node.func.id]])
        for path in OURS
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in places
        if len(node.args) > places[node.func.id]
    ]
    named = [(path, line, name.value) for path, line, name in calls if isinstance(name, ast.Constant)]
    assert len(named) > 10
    report(
        [
            f"{path}:{line} names {name}, which is not in templates/."
            for path, line, name in named
            if not (ROOT / "templates" / str(name)).is_file()
        ]
    )
