"""Every example in the client's docstrings and in docs/client.md, run against a Tunebook that runs."""

import doctest
import re
from importlib import import_module
from pathlib import Path

import pytest
from tunebook import Client

from tests.source import ROOT
from tests.stack import rule_rows

MODULES = sorted(f"tunebook.{path.stem}" for path in (ROOT / "app/client").glob("[!_]*.py"))
OPTIONS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


@pytest.mark.laptop
def test_the_examples_are_true(lab: Client, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    dataset = lab.upload(rule_rows(50).encode(), "rule")
    models = ["baseline/majority", "baseline/tfidf-linear"]
    experiment = lab.launch(dataset, models, launch_key="docs-example-1").wait()
    names = {"lab": lab, "experiment": experiment, "run": lab.run(2)}
    tried = 0
    for name in ["tunebook", "tunebook._wire", *MODULES]:
        module = import_module(name)
        done = doctest.testmod(module, extraglobs=names, optionflags=OPTIONS)
        assert not done.failed, (
            f"{name}: {done.failed} examples are not true (python -m pytest -s says which)"
        )
        tried += done.attempted
    assert tried > 40
    text = (ROOT / "docs/client.md").read_text(encoding="utf-8")
    (tmp_path / "rule.jsonl").write_text(rule_rows(50))
    for number, block in enumerate(re.findall(r"```python\n(.*?)```", text, re.S)):
        test = doctest.DocTestParser().get_doctest(
            block, names, f"docs/client.md[{number}]", "docs/client.md", 0
        )
        done = doctest.DocTestRunner(optionflags=OPTIONS).run(test, clear_globs=False)
        assert not done.failed, f"docs/client.md: block {number}"
        names = test.globs
