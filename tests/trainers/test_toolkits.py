"""What every toolkit must keep: app/trainers/_base.py says it, this holds each one against it."""

import ast
import importlib
import json
import re
import sys
from dataclasses import replace
from typing import Any

import pytest
import yaml

from app.hyperparameters import Hyperparameter
from app.trainers._base import Job, Toolkit
from app.trainers._bundle import toolkit_bundle
from app.trainers._fields import SHARED
from app.trainers._shared import ALWAYS, fields_of, lacking, own_settings, settle
from tests.source import ROOT
from tests.trainers.golden import FOLDER, kept, rendered
from tests.trainers.table import DOCUMENT, written
from tests.trainers.toolkits import stated_job, toolkits

TOOLKITS = sorted(toolkits().values(), key=lambda kind: kind.name)
WORKERS = ROOT / "workers" / "training" / "toolkits"
FUNCTIONS = ("prepare", "command", "variables", "read", "collect", "resolved", "predict")
PINNED = re.compile(r"[A-Za-z0-9._-]+(\[[a-z0-9,_-]+\])?(==[^ ;=*]+| @ \S+[@/][0-9a-f]{40}\S*)( ?;.*)?")
TEXTS = {"lora_targets": ("all-linear", "q_proj, v_proj"), "own_settings": ("", "some_key: 1")}

each = pytest.mark.parametrize("toolkit", TOOLKITS, ids=[kind.name for kind in TOOLKITS])


def flat(config: Any, before: str = "") -> dict[str, Any]:
    """{"optim.lr": 1} of a nested configuration; what stands in lists counts too."""
    pairs = config.items() if isinstance(config, dict) else enumerate(config)
    found: dict[str, Any] = {}
    for key, value in pairs:
        path = f"{before}{key}"
        found |= {path: value} | (flat(value, f"{path}.") if isinstance(value, dict | list) else {})
    return found


def values_in(files: dict[str, str]) -> dict[str, Any]:
    """Every key of every YAML and JSON file, dotted where nested."""
    found: dict[str, Any] = {}
    for name, text in files.items():
        if name.endswith((".yaml", ".yml", ".json")):
            found |= flat(yaml.safe_load(text) if not name.endswith(".json") else json.loads(text))
    return found


def two_values(shape: Hyperparameter) -> tuple[Any, ...]:
    """All choices, else two different values that are allowed."""
    if shape.kind == "choice":
        return shape.choices
    if shape.kind == "bool":
        return (False, True)
    if shape.kind == "text":
        return TEXTS.get(shape.name, (shape.default, "llama3"))
    low, high = float(shape.minimum or 0), float(shape.maximum or 1)
    other = min(high, max(low, float(shape.default) * 2 or (low + high) / 2))
    if other == shape.default:
        other = (low + float(shape.default)) / 2
    return (shape.default, shape.parse(other))


@each
def test_the_configuration_is_the_kept_one(toolkit: Toolkit):
    assert rendered(toolkit) == kept(toolkit.name), "python -m tests.trainers.golden rewrites it"
    assert rendered(toolkit) == rendered(toolkit)


def test_no_configuration_is_kept_of_a_toolkit_that_is_gone():
    assert {folder.name for folder in FOLDER.iterdir()} == set(toolkits())


@each
@pytest.mark.parametrize("gpu", [False, True])
def test_it_names_no_folder_of_this_machine(toolkit: Toolkit, gpu: bool):
    job = replace(stated_job(toolkit, "/home/somebody/models/small-llama"), gpu=gpu)
    shown = {name: text for name, text in toolkit_bundle(toolkit, job).files.items() if name != "here.json"}
    assert not [name for name, text in shown.items() if "/home/" in text]
    for key, value in values_in(dict(toolkit.config(job))).items():
        assert not str(value).startswith(("/", "~")), key
    assert any("./small-llama" in text for text in toolkit.config(job).values())


@each
def test_every_value_is_written_under_the_key_that_the_table_tells(toolkit: Toolkit):
    job = stated_job(toolkit)
    files = dict(toolkit.config(job))
    found, everything = values_in(files), "\n".join(files.values())
    for name, key in toolkit.keys.items():
        if "(" in key:
            continue
        wanted = job.seed if name == "seed" else job.hyperparameters[name]
        assert key in found or key in everything, f"{name} is written nowhere as {key}"
        if key in found and isinstance(wanted, int | float) and not isinstance(wanted, bool):
            assert float(found[key]) == pytest.approx(float(wanted), rel=1e-12), name


@each
def test_every_value_that_is_offered_changes_the_configuration(toolkit: Toolkit):
    worker = (WORKERS / f"{toolkit.name.replace('-', '_')}.py").read_text(encoding="utf-8")
    own = {shape.name for shape in toolkit.own}
    for shape in fields_of(toolkit):
        if shape.name in ALWAYS:
            continue
        jobs = [stated_job(toolkit, **{shape.name: value}) for value in two_values(shape)]
        settled = {json.dumps(job.hyperparameters[shape.name]) for job in jobs}
        configs = {json.dumps(dict(toolkit.config(job)), sort_keys=True) for job in jobs}
        # What a toolkit does beside its configuration (an export, say), its worker reads from the bundle's own.
        beside = shape.name in own and f'"{shape.name}"' in worker
        assert len(configs) == len(settled) or beside, shape.name


@each
def test_the_seed_and_the_device_change_the_configuration(toolkit: Toolkit):
    job = stated_job(toolkit)
    assert toolkit.config(replace(job, seed=2)) != toolkit.config(job)
    gpu = replace(job, gpu=True)
    values = {shape.name: shape.default for shape in fields_of(toolkit)}
    on_gpu = settle(replace(gpu, hyperparameters=values))
    if "precision" in on_gpu:
        assert on_gpu["precision"] in ("bf16", "fp32"), "auto is settled before a toolkit sees it"
        assert toolkit.config(replace(gpu, hyperparameters=on_gpu)) != toolkit.config(job)


@each
def test_what_it_cannot_express_is_not_offered(toolkit: Toolkit):
    shared = {shape.name: shape for shape in SHARED}
    offered = {shape.name: shape for shape in fields_of(toolkit)}
    assert set(toolkit.keys) <= {*shared, "seed"}
    assert set(lacking(toolkit)) == set(shared) - set(offered)
    assert not {shape.name for shape in toolkit.own} & set(shared)
    for name, choices in toolkit.choices.items():
        assert name in offered
        assert set(choices) <= set(shared[name].choices), name
    for shape in offered.values():
        assert shape.parse(shape.default) == shape.default, f"the default of {shape.name} is not allowed"


@each
def test_its_defaults_can_be_launched_and_problems_are_sentences(toolkit: Toolkit):
    values = {shape.name: shape.default for shape in fields_of(toolkit)}
    assert toolkit.problems(values) == []
    wrong = {"method": "full", "quantization": "4bit", "use_dora": True, "own_settings": "not a setting"}
    for problem in toolkit.problems({**values, **{name: wrong[name] for name in wrong if name in values}}):
        assert problem.startswith(f"{toolkit.label}:"), problem
        assert problem.endswith("."), problem


@each
def test_a_quantized_base_is_not_trained_in_full(toolkit: Toolkit):
    values = {shape.name: shape.default for shape in fields_of(toolkit)}
    both = {shape.name: shape.choices for shape in fields_of(toolkit)}
    if "full" in both.get("method", ()) and "4bit" in both.get("quantization", ()):
        assert toolkit.problems({**values, "method": "full", "quantization": "4bit"})


@each
def test_settings_of_its_own_are_passed_through_and_set_nothing_twice(toolkit: Toolkit):
    job = stated_job(toolkit)
    files = dict(toolkit.config(job))
    if not any(name.endswith((".yaml", ".yml")) for name in files):
        return
    assert "own_settings" in job.hyperparameters, "a toolkit that takes YAML passes settings through"
    values = {**job.hyperparameters, "own_settings": "some_key: {a: 1.5}; another_key: [x, 'y; z']"}
    assert toolkit.problems(values) == []
    found = values_in(dict(toolkit.config(replace(job, hyperparameters=values))))
    assert (found["some_key.a"], found["another_key"]) == (1.5, ["x", "y; z"])
    for key in toolkit.keys.values():
        if "(" not in key and "." not in key:
            (problem,) = toolkit.problems({**values, "own_settings": f"{key}: 1"})
            assert key in problem


@pytest.mark.parametrize("wrong", ["1", "a b", "a: 1; a: 2", "[x]", "a: {", "1: x"])
def test_what_is_not_a_setting_is_refused(wrong: str):
    with pytest.raises(ValueError, match=r"is not written as key: value|is there twice"):
        own_settings({"own_settings": wrong})


def test_settings_are_read_as_yaml():
    text = 'a: 1; b: "x; y"\nc: {d: [1, 2]};; e: null'
    assert own_settings({"own_settings": text}) == {"a": 1, "b": "x; y", "c": {"d": [1, 2]}, "e": None}
    assert own_settings({}) == {}


@each
def test_its_packages_are_pinned(toolkit: Toolkit):
    for requirement in toolkit.environment.requirements:
        assert PINNED.fullmatch(requirement), f"{requirement} is not pinned"
    oldest, newest = toolkit.environment.python
    assert (3, 10) <= tuple(map(int, oldest.split("."))) <= tuple(map(int, newest.split(".")))
    assert toolkit.version
    assert toolkit.licence
    assert toolkit.source.startswith("https://")


@each
def test_its_worker_has_every_function_and_imports_nothing_heavy(toolkit: Toolkit):
    module = importlib.import_module(f"workers.training.toolkits.{toolkit.name.replace('-', '_')}")
    for name in FUNCTIONS:
        assert callable(getattr(module, name, None)), f"{name} is missing"
    assert isinstance(module.PACKAGES, tuple)
    assert isinstance(module.PROGRESS_FILE, str)
    assert module.read("nothing of interest") is None
    tree = ast.parse((WORKERS / f"{toolkit.name.replace('-', '_')}.py").read_text(encoding="utf-8"))
    for node in tree.body:
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [node.module or ""]
        assert {name.partition(".")[0] for name in names} <= sys.stdlib_module_names, names


def test_every_worker_belongs_to_a_trainer():
    workers = {file.stem for file in WORKERS.glob("[!_]*.py")}
    assert workers == {name.replace("-", "_") for name in toolkits()}


@each
def test_a_bundle_says_what_it_needs(toolkit: Toolkit):
    job: Job = stated_job(toolkit)
    files = toolkit_bundle(toolkit, job).files
    assert files["environment.txt"].split() == " ".join(toolkit.environment.requirements).split()
    assert json.loads(files["config.json"])["toolkit"]["version"] == toolkit.version
    assert toolkit.version in files["README.md"]


def test_the_tables_of_the_docs_are_those_of_the_code():
    text = DOCUMENT.read_text(encoding="utf-8")
    assert text == written(text), "run python -m tests.trainers.table"
