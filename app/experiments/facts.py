"""What models must know of a split before they are launched. Used by the plan, the designs and cloned runs."""

from app.catalog.facts import DataFacts
from app.datasets.answer_schema import answer_schema
from app.datasets.leaks import ceiling_of, ceiling_sentence
from app.runs.prepare import max_new_tokens
from app.tables import Dataset, Split


def data_facts(dataset: Dataset, split: Split) -> DataFacts:
    """What the models must know about the split."""
    facts = dataset.facts
    return DataFacts(
        task=dataset.task,
        labels=tuple(dataset.labels),
        train_items=split.counts.get("train", 0),
        validation_items=split.counts.get("validation", 0),
        test_items=split.counts.get("test", 0),
        mean_tokens=float(facts.get("mean_tokens") or 0),
        max_tokens=int(facts.get("max_tokens") or 0),
        mean_characters=float(facts.get("mean_characters") or 0),
        answer_tokens=max_new_tokens(dataset),
        answer_schema=answer_schema(dataset),
        rejected=dict(split.facts.get("rejected") or {}),
        ceiling=ceiling_sentence(ceiling_of(dataset, split)),
    )
