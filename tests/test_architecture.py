"""The house's layers (CONTRIBUTING.md), read from the imports: who may import whom. Each message says where the
code should go.
"""

import ast
import sys
from pathlib import Path

from tests.source import OURS, imports, layer, module_name, report, tree, within

NOUNS = ("lab", "settings", "datasets", "catalog", "runs", "evaluations", "experiments", "comparisons")
NOUNS += ("exports", "door", "home")
KINDS = ("providers", "trainers", "compute", "baselines", "metrics", "figures", "export_formats")
KINDS += ("augmentations", "harnesses")
# The command, the application and what `tunebook` is made of; these may import everything but workers.
ENTRIES = ("__main__", "main", "up", "serve", "commands", "doctor")
ENTRIES += (
    "doctor_server",
    "backup",
    "backup_commands",
    "move",
    "preloaded",
    "restore",
    "storage_commands",
    "storage_copy",
    "user_commands",
)
# fmt: off
FOUNDATION = {
    "assets", "cells", "child_environment", "clock", "config", "database_rows", "db", "errors", "file_queue", "forked", "format", "hub",
    "hyperparameters", "log", "migrate", "model_server", "outside", "patterns", "preferences", "queue", "registry", "render",
    "service_http", "service_json", "shapes", "socket_path", "statistics", "storage", "stored_files", "bucket", "subpath", "supervisor", "tether", "traces", "vault", "version", "waiting", "yaml_text",
}
# fmt: on
WEB_FILES = ("routes", "api", "downloads", "views", "forms", "form")
WEB_PACKAGES = ("fastapi", "starlette")
# What the database's layer, the web and the queue are made of: kinds must run without them.
ENGINES = ("sqlmodel", "sqlalchemy", "fastapi", "starlette", "celery", "app.db", "app.queue", "app.tables")


def test_every_part_of_app_has_its_place():
    known = {*NOUNS, *KINDS, *ENTRIES, *FOUNDATION, "tables", "web", "client", "__init__"}
    strange = {layer(f"{module_name(path)}.") for path in OURS if path.startswith("app/")} - known - {""}
    report(
        [
            f"app/{name}: not a noun, a kind or foundation. A feature goes into a noun's folder; what many need "
            "goes into the foundation and into FOUNDATION here; a decision about either goes to CONTRIBUTING.md."
            for name in sorted(strange)
        ]
    )


def test_app_never_imports_workers():
    report(
        [
            f"{path}:{line} imports {module}: name the task in app/queue.py and enqueue it."
            for path in OURS
            if path.startswith("app/")
            for module, line in imports(path)
            if within(module, ("workers",)) and not path.startswith("app/trainers/")
        ]
    )


def test_nouns_import_only_leftwards():
    problems = []
    for path in OURS:
        noun = layer(f"{module_name(path)}.")
        if noun not in NOUNS:
            continue
        for module, line in imports(path):
            other = layer(module)
            if other in NOUNS and NOUNS.index(other) > NOUNS.index(noun):
                problems.append(
                    f"{path}:{line} imports {module}: {noun} stands before {other}. Data only moves right: "
                    f"put the code into app/{other}, or what both need into the foundation."
                )
    report(problems)


def test_foundation_and_tables_import_no_feature():
    problems = []
    for path in OURS:
        name = layer(f"{module_name(path)}.")
        if name not in FOUNDATION and name != "tables":
            continue
        for module, line in imports(path):
            if layer(module) in (*NOUNS, *KINDS, "web", *ENTRIES):
                problems.append(
                    f"{path}:{line} imports {module}: foundation and tables know no feature. Pass the value in, "
                    "or move this code into the noun."
                )
            if name == "tables" and layer(module) in ("db", "queue", "storage", "render"):
                problems.append(
                    f"{path}:{line} imports {module}: tables only describe; put it into a service."
                )
    report(problems)


def test_web_is_for_routes_only():
    problems = []
    for path in OURS:
        name, stem = layer(f"{module_name(path)}."), Path(path).stem
        if name not in (*NOUNS, *KINDS) or stem.endswith(WEB_FILES):
            continue
        problems += [
            f"{path}:{line} imports {module}: only {', '.join(WEB_FILES)} of a noun speak HTTP. Give plain data "
            "to the route and let it answer."
            for module, line in imports(path)
            if layer(module) == "web" or within(module, WEB_PACKAGES)
        ]
    report(problems)


def test_kinds_stand_alone():
    problems = []
    for path in OURS:
        parts = path.split("/")
        if len(parts) < 3 or parts[1] not in KINDS:
            continue
        own, file = parts[1], parts[2].removesuffix(".py")
        for module, line in imports(path):
            if within(module, ENGINES) or layer(module) in NOUNS:
                problems.append(
                    f"{path}:{line} imports {module}: a kind is plain Python. What needs the database goes into "
                    "the noun's service, which calls the kind."
                )
            segments = module.split(".")
            sibling = segments[2] if layer(module) == own and len(segments) > 3 else ""
            if sibling and not sibling.startswith("_") and sibling != file and not file.startswith("__"):
                problems.append(
                    f"{path}:{line} imports {module}: kinds never import each other. Shared code goes into "
                    f"app/{own}/_base.py or another file whose name begins with '_'."
                )
    report(problems)


def test_what_travels_in_a_bundle_imports_nothing_of_ours():
    problems = []
    for path in OURS:
        if path.startswith("workers/training/"):
            allowed: tuple[str, ...] = ("workers.training",)
        elif path.startswith("app/baselines/"):
            allowed = ("app.baselines",)
        elif path.startswith("app/exports/recompute/"):
            allowed = ("app.metrics",)
        elif path.startswith(("app/metrics/", "app/statistics/")):
            # Copied into paper bundles, for their bootstrap.
            allowed = ("app.metrics", "app.statistics", "app.registry")
        else:
            continue
        for module, line in imports(path):
            if within(module, ("app", "workers")) and not within(module, allowed):
                problems.append(
                    f"{path}:{line} imports {module}: this file is copied into bundles and runs without "
                    "Tunebook. Put what it needs into config.json, or into this folder."
                )
    report(problems)


def test_the_client_knows_nothing_of_the_server():
    """It is installed as `tunebook` too: absolute imports of ours would make a second copy of it, or load the server."""
    own = ("app.client", "httpx", "msgspec")
    problems = []
    for path in OURS:
        if not path.startswith("app/client/"):
            continue
        problems += [
            f"{path}:{line} imports {module}: the client runs in notebooks that have only httpx and msgspec."
            for module, line in imports(path)
            if not within(module, own) and module.split(".")[0] not in sys.stdlib_module_names
        ]
        problems += [
            f"{path}:{node.lineno} imports {node.module}: write `from .x import y`, which is right under both names."
            for node in ast.walk(tree(path))
            if isinstance(node, ast.ImportFrom)
            and node.level == 0
            and within(node.module or "", ("app", "tunebook"))
        ]
    report(problems)


def test_heavy_packages_are_imported_where_they_are_needed():
    problems = []
    for path in OURS:
        if not path.startswith(("workers/training/", "workers/inference/")):
            problems += [
                f"{path}:{line} imports {module}: PyTorch belongs to workers/training, which is a process of its own."
                for module, line in imports(path)
                if within(module, ("torch", "transformers", "peft", "trl", "accelerate", "datasets"))
            ]
        problems += [
            f"{path}:{line} imports {module} at the top: import it inside the call, so that the web starts fast."
            for module, line in imports(path, top_only=True)
            if within(module, ("sklearn", "pyarrow", "scipy.stats", "scipy.optimize"))
        ]
        if not path.startswith(("app/baselines/", "workers/training/")):
            problems += [
                f"{path}:{line} imports {module}: scikit-learn belongs to app/baselines."
                for module, line in imports(path)
                if within(module, ("sklearn",))
            ]
    report(problems)
