"""How a run is asked for its answers: what is offered, what is refused, what the data set's own schema gives."""

import json
from pathlib import Path
from typing import Any

import pytest

from app.catalog.facts import DataFacts, hyperparameters, problems, suggest
from app.catalog.models import find_model
from app.datasets.answer_schema import answer_schema, schema_of
from app.tables import Dataset
from app.trainers.builtin import TRAINER
from tests.training.bundles import job, values_of

SCHEMA = {"type": "object", "properties": {"kind": {"enum": ["metal", "none"]}}}
OPENAI = {"type": "json_schema", "json_schema": {"name": "kind", "strict": True, "schema": SCHEMA}}
STARTER = "starter/tiny"


def _facts(task: str, **more: Any) -> DataFacts:
    labels = ("metal", "none") if task == "classification" else ()
    return DataFacts(task, labels, 100, 10, 20, 30.0, 60, 90.0, **more)


def _problems(task: str, **values: Any) -> list[str]:
    model = find_model(STARTER)
    return problems(model, _facts(task), {**suggest(model, _facts(task)), **values})


def test_answers_are_free_unless_something_else_is_asked_for() -> None:
    values = suggest(find_model(STARTER), _facts("classification"))
    assert (values["decoding"], values["answer_schema"]) == ("free", "")
    names = [field.name for field in hyperparameters(find_model(STARTER))]
    assert "predictor" not in names, "a starter is too small for vLLM"


def test_labels_are_for_classification_and_a_schema_must_be_one() -> None:
    assert _problems("classification", decoding="labels") == []
    assert "are no set of labels" in _problems("text", decoding="labels")[0]
    assert _problems("text", decoding="json_schema", answer_schema=json.dumps(SCHEMA)) == []
    for wrong in ("", "{", "[1]"):
        assert "needs a JSON schema" in _problems("text", decoding="json_schema", answer_schema=wrong)[0]


def test_the_library_for_schemas_is_installed_only_where_one_is_followed() -> None:
    def packages(**changes: Any) -> str:
        return TRAINER.render(job(STARTER, values_of(STARTER, **changes))).files["environment.txt"]

    assert "llguidance==" in packages(decoding="json_schema", answer_schema=json.dumps(SCHEMA))
    assert "llguidance" not in packages()


def test_a_schema_that_all_rows_name_is_suggested() -> None:
    facts = _facts("text", answer_schema=json.dumps(SCHEMA))
    assert json.loads(suggest(find_model(STARTER), facts)["answer_schema"]) == SCHEMA


@pytest.mark.parametrize(
    ("formats", "found"),
    [
        ([OPENAI, OPENAI], SCHEMA),
        ([{"type": "json_object", "schema": SCHEMA}, OPENAI], SCHEMA),
        ([OPENAI, None], None),
        ([OPENAI, {"type": "json_schema", "json_schema": {"schema": {"type": "string"}}}], None),
        ([None, None], None),
        ([{"type": "text"}], None),
    ],
)
def test_the_schema_of_the_rows(
    formats: list[Any], found: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [{"messages": [], **({"response_format": given} if given else {})} for given in formats]
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\n\n")
    monkeypatch.setattr("app.datasets.answer_schema.rows_file", lambda dataset: path)
    told = answer_schema(Dataset.model_construct())
    assert (json.loads(told) if told else None) == found


def test_rows_of_other_forms_have_no_schema(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for text in ("[1]\n", '{"response_format": "json"}\n', "not json\n", ""):
        path = tmp_path / f"{len(text)}.jsonl"
        path.write_text(text)
        monkeypatch.setattr("app.datasets.answer_schema.rows_file", lambda dataset, path=path: path)
        assert answer_schema(Dataset.model_construct()) == ""
    monkeypatch.setattr("app.datasets.answer_schema.rows_file", lambda dataset: tmp_path / "gone")
    assert answer_schema(Dataset.model_construct()) == ""
    assert schema_of({"json_schema": {"schema": "x"}}) is None
