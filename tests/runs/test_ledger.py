"""The ledger: asked, sent, resolved, source."""

from app.runs.hosted_ledger import close, read_back
from app.runs.ledger import NOT_DISCLOSED, YOU, open_ledger, resolve, sent_values, show


def test_each_value_has_its_source() -> None:
    ledger = open_ledger({"a": 1, "b": 2, "c": 3}, {"a": 1, "b": 5, "c": 3}, {"c": 9})
    assert [(name, row["sent"], row["source"]) for name, row in ledger.items()] == [
        ("a", 1, "our default"),
        ("b", 2, "chosen for this data"),
        ("c", 9, "you"),
    ]
    assert sent_values(ledger) == {"a": 1, "b": 2, "c": 9}


def test_what_the_trainer_adds_becomes_a_row() -> None:
    ledger = resolve(open_ledger({"a": 1}, {"a": 1}, {}), {"a": 1.5, "optimizer": "adamw"})
    assert ledger["a"]["resolved"] == 1.5
    assert ledger["optimizer"] == {"asked": None, "sent": None, "resolved": "adamw", "source": "trainer"}
    assert sent_values(ledger) == {"a": 1}


def test_a_value_that_was_never_read_back_is_named_once_the_run_has_ended() -> None:
    ledger = open_ledger({"rate": 0.002, "shuffle": True}, {}, {"rate": 0.002})
    running, ended = (show(ledger, {"rate": "Learning rate"}, ended=ended) for ended in (False, True))
    assert [row.resolved for row in running] == ["–", "–"]
    assert [row.resolved for row in ended] == [NOT_DISCLOSED, NOT_DISCLOSED]
    assert (ended[0].label, ended[0].asked, ended[0].sent) == ("Learning rate", "0.002", "0.002")
    assert (ended[1].label, ended[1].asked, ended[1].sent) == ("Shuffle", "–", "yes")


def test_a_seed_that_a_service_took_stands_in_the_ledger_and_is_no_hyperparameter() -> None:
    opened = open_ledger({"epochs": 3}, {"epochs": 3}, {})
    said = read_back(opened, {"epochs": 3, "seed": 7}, "A service", seed=7)
    assert said["seed"] == {"asked": 7, "sent": 7, "resolved": 7, "source": YOU}
    assert sent_values(said) == {"epochs": 3}
    silent = close(read_back(opened, {}, "A service", seed=7), "A service", ("optimiser",))
    assert {name: row["undisclosed_by"] for name, row in silent.items()} == dict.fromkeys(
        ("epochs", "seed", "optimiser"), "A service"
    )
