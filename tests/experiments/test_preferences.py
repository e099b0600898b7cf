"""DPO in the plan: offered where the data has rejected answers, complete in the ledger, refused where it cannot be."""

from typing import Any

import pytest

from app.catalog.facts import DataFacts
from app.experiments.plan import Plan, make_plan
from app.experiments.planned import GridRow
from app.runs.ledger import sent_values

MODEL = "hf/acme/model-0.5B"
HOSTED = (
    "together/Qwen/Qwen3.5-9B",
    "fireworks/accounts/fireworks/models/llama-v3p1-8b-instruct",
    "openai/gpt-4.1-mini-2025-04-14",
    "openpipe/Qwen/Qwen3-8B",
)


def _plan(pairs: int, model: str = MODEL, **asked: Any) -> Plan:
    facts = DataFacts(
        task="text", labels=(), train_items=400, validation_items=50, test_items=50, mean_tokens=40.0,
        max_tokens=90, mean_characters=120.0, rejected={"train": pairs, "validation": 0 if model == MODEL else pairs // 10},
    )  # fmt: skip
    return make_plan(facts, [GridRow(model, asked)], [1])


def _sent(plan: Plan) -> list[dict[str, Any]]:
    return [sent_values(run.ledger) for run in plan.rows[0].runs]


def test_without_rejected_answers_there_is_nothing_to_choose() -> None:
    plan = _plan(0)
    row = plan.rows[0]
    assert not {"objective", "dpo_beta"} & {field.name for field in row.fields}
    # It is sent all the same, and so said.
    assert row.ledger["objective"]["sent"] == "sft"
    assert "dpo_beta" not in row.ledger
    assert not any("DPO" in name for name in row.presets)
    assert plan.problems == ()


def test_with_them_the_choice_is_offered_and_supervised_stays_the_usual_one() -> None:
    row = _plan(300).rows[0]
    assert (row.ledger["objective"]["sent"], row.ledger["objective"]["source"]) == ("sft", "our default")
    assert "dpo_beta" not in row.ledger
    assert row.ledger["learning_rate"]["sent"] == 2e-4
    assert {field.name for field in row.fields} == set(row.ledger) == set(row.values)
    assert any("DPO" in name for name in row.presets)


def test_dpo_fills_in_its_beta_and_a_smaller_learning_rate() -> None:
    plan = _plan(300, objective="dpo")
    (sent,) = _sent(plan)
    assert (sent["objective"], sent["dpo_beta"], sent["learning_rate"]) == ("dpo", 0.1, 5e-6)
    assert plan.rows[0].ledger["objective"]["source"] == "you"
    assert any("the 300 of 400 training items" in text for text in plan.remarks)
    assert plan.problems == ()
    full = _sent(_plan(300, objective="dpo", method="full"))[0]
    assert full["learning_rate"] == 5e-7
    own = _sent(_plan(300, objective="dpo", learning_rate=1e-3, dpo_beta=0.5))[0]
    assert (own["learning_rate"], own["dpo_beta"]) == (1e-3, 0.5)
    assert not any("training items that have" in text for text in _plan(400, objective="dpo").remarks)


def test_dpo_takes_longer_than_supervised_training_of_the_same_rows() -> None:
    supervised, preferring = _plan(400).rows[0], _plan(400, objective="dpo").rows[0]
    assert preferring.estimate["tokens"] == 2 * supervised.estimate["tokens"]
    assert preferring.seconds > 2 * supervised.seconds - 30


def test_what_supervised_training_alone_has_is_no_part_of_dpo() -> None:
    supervised, preferring = _plan(400).rows[0], _plan(400, objective="dpo").rows[0]
    alone = {"packing", "padding_free", "group_by_length", "liger_kernel"}
    assert set(supervised.ledger) - set(preferring.ledger) == alone
    assert set(preferring.ledger) - set(supervised.ledger) == {"dpo_beta"}
    assert {field.name for field in preferring.fields} == set(preferring.ledger)


def test_a_grid_over_both_objectives_has_one_supervised_run() -> None:
    runs = _plan(400, objective=["sft", "dpo"], dpo_beta=[0.1, 0.3]).rows[0].runs
    assert [run.variant for run in runs] == [
        "objective sft", "objective dpo, DPO beta 0.1", "objective dpo, DPO beta 0.3"
    ]  # fmt: skip
    assert [run.ledger.get("dpo_beta", {}).get("sent") for run in runs] == [None, 0.1, 0.3]
    assert [run.ledger["learning_rate"]["sent"] for run in runs] == [2e-4, 5e-6, 5e-6]


@pytest.mark.parametrize(
    ("pairs", "asked", "said"),
    [
        (0, {"objective": "dpo"}, "no training item of this split has one"),
        (300, {"dpo_beta": 0.2}, "DPO beta belongs to the objective dpo, not to sft"),
        (300, {"objective": "sft", "dpo_beta": 0.2}, "DPO beta belongs to the objective dpo, not to sft"),
        (300, {"objective": "dpo", "packing": True}, "Packing belongs to the objective sft, not to dpo"),
        (300, {"objective": "dpo", "early_stopping_patience": 2}, "a validation part with rejected answers"),
        (
            300,
            {"objective": "dpo", "lora_targets": "q_proj, lm_head"},
            "Take lm_head out of the LoRA targets",
        ),
    ],
)
def test_what_cannot_be_is_refused_with_a_sentence(pairs: int, asked: dict[str, Any], said: str) -> None:
    (problem,) = _plan(pairs, **asked).problems
    assert said in problem
    assert problem.startswith(("model-0.5B: ", "acme/model-0.5B: "))


@pytest.mark.parametrize("model", HOSTED, ids=[model.partition("/")[0] for model in HOSTED])
def test_services_offer_it_where_there_is_something_to_learn_from(model: str) -> None:
    fields = [{field.name for field in _plan(pairs, model).rows[0].fields} for pairs in (0, 300)]
    assert fields[1] - fields[0] == {"objective"}
    supervised, preferring = _plan(300, model).rows[0], _plan(300, model, objective="dpo").rows[0]
    assert {field.name for field in preferring.fields} == set(preferring.ledger)
    assert preferring.ledger["dpo_beta"]["sent"] == 0.1
    # A pair is read as two rows, and 300 of 400 items have one.
    epochs = [row.values["epochs"] for row in (supervised, preferring)]
    tokens = [
        row.estimate["tokens"] / each for row, each in zip((supervised, preferring), epochs, strict=True)
    ]
    assert tokens == [400 * 40, 300 * 2 * 40]
