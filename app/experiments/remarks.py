"""What the plan says of the data before anything is launched: problems that stop it, and remarks. Pure."""

from collections.abc import Sequence

from app.catalog.facts import DataFacts
from app.experiments.designs import Design
from app.statistics import smallest_difference

FEW_TRAIN_ITEMS = 20


def split_problems(cells: Sequence[DataFacts], design: Design, choose_on: str) -> list[str]:
    """What stops the launch, whatever the models; empty when nothing does."""
    problems = []
    where = "A fold" if design.pooled else "This split"
    if any(not facts.test_items for facts in cells):
        problems.append(f"{where} has no test items: choose a split that holds some out.")
    fewest = min(facts.train_items for facts in cells)
    if fewest < 2:
        problems.append(f"{where} has {fewest} training items: at least 2 are needed.")
    if choose_on and design.pooled:
        problems.append(
            "Choosing on validation needs one split: folds have no validation part. Choose one split, or do not "
            "lock the test set."
        )
    elif choose_on and not all(facts.validation_items for facts in cells):
        problems.append(
            "This split has no validation part to choose on: draw one from train, or take or make a split that has one."
        )
    return problems


def remarks(whole: DataFacts, seeds: Sequence[int], design: Design, choose_on: str) -> list[str]:
    """What a person should know before launching."""
    found = []
    if whole.test_items and whole.task != "number":
        points = 100 * smallest_difference(whole.test_items)
        found.append(
            f"With {whole.test_items:,} test items a difference under about {points:.0f} points "
            "cannot be told from luck."
        )
    if whole.ceiling:
        found.append(whole.ceiling)
    if 2 <= whole.train_items < FEW_TRAIN_ITEMS:
        found.append(f"Only {whole.train_items} training items: expect every model to do poorly.")
    if not whole.validation_items and not design.pooled:
        found.append("This split has no validation part, so there is no validation curve.")
    if choose_on:
        found.append(
            "Test scores stay hidden, in the API too, until somebody unlocks them on the experiment's page."
        )
    if len(seeds) == 1:
        found.append("One seed does not show training noise; three would.")
    return found
