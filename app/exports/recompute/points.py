"""The value of every metric of a run, from its predictions. Standard library only.

Each function takes the items and gives {"value", "n"} and, for rates, the ends of Wilson's interval, or None
where the metric does not apply. The formulas and their sources stand in scores.json.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import texts
from rates import rate, wilson
from reading import Item

Found = dict[str, Any] | None
EPSILON = 2.0**-52
BINS = 15


def everything(items: list[Item], task: str, labels: list[str]) -> dict[str, Found]:
    """{metric: what was computed}; a metric that is not here is not computed by these scripts."""
    return {name: compute(items, labels) for name, (tasks, compute) in METRICS.items() if task in tasks}


def _right(items: list[Item], _labels: list[str]) -> Found:
    return rate([item.correct for item in items], _groups(items))


def _exact(items: list[Item], _labels: list[str]) -> Found:
    return rate([item.read == item.gold for item in items], _groups(items))


def _valid(items: list[Item], _labels: list[str]) -> Found:
    return rate([item.read is not None and texts.decode(item.read)[0] for item in items], _groups(items))


def _groups(items: Sequence[Item]) -> list[str | None]:
    return [item.group for item in items]


def confusion(items: list[Item], labels: list[str]) -> tuple[list[str], list[list[int]]]:
    """The classes, and how often each (row) was answered as each (column); the last column: as none of them."""
    wanted, said = {item.gold for item in items}, {item.read for item in items}
    names = [label for label in dict.fromkeys(labels) if label in wanted or label in said]
    names += sorted(wanted - set(names))
    place: dict[str | None, int] = {name: i for i, name in enumerate(names)}
    counts = [[0] * (len(names) + 1) for _ in names]
    for item in items:
        counts[place[item.gold]][place.get(item.read, len(names))] += 1
    return names, counts


def _confusion(items: list[Item], labels: list[str]) -> Found:
    names, counts = confusion(items, labels)
    if not any(row[-1] for row in counts):
        counts = [row[:-1] for row in counts]
    return {"value": None, "n": len(items), "detail": {"expected": names, "counts": counts}}


def _per_class(items: list[Item], labels: list[str]) -> Found:
    names, counts = confusion(items, labels)
    rows = {}
    for i, name in enumerate(names):
        right, wanted, said = counts[i][i], sum(counts[i]), sum(row[i] for row in counts)
        rows[name] = {
            **_share("precision", right, said),
            **_share("recall", right, wanted),
            "f1": 2 * right / (wanted + said),
            "support": wanted,
        }
    return {"value": None, "n": len(items), "detail": {"classes": rows}}


def _share(name: str, right: int, n: int) -> dict[str, float | None]:
    low, high = wilson(right, n) if n else (None, None)
    return {name: right / n if n else None, f"{name}_low": low, f"{name}_high": high}


def _macro_f1(items: list[Item], labels: list[str]) -> Found:
    names, counts = confusion(items, labels)
    columns = [sum(row[i] for row in counts) for i in range(len(names))]
    f1 = [2 * counts[i][i] / (sum(counts[i]) + columns[i]) for i in range(len(names))]
    return {"value": sum(f1) / len(f1), "n": len(items)}


def having(items: list[Item], labels: list[str]) -> list[tuple[Item, list[float], int]]:
    """Items with probabilities: the item, its probabilities scaled to 1, the expected label's place (-1: none)."""
    place = {label: i for i, label in enumerate(labels)}
    found = []
    for item in items:
        total = math.fsum(item.p) if item.p else 0.0
        if item.p and 0 < total < math.inf and min(item.p) >= 0:
            found.append((item, [p / total for p in item.p], place.get(item.gold, -1)))
    return found


def _top2(items: list[Item], labels: list[str]) -> Found:
    rows = having(items, labels)
    if not rows:
        return None
    hits = [gold in sorted(range(len(p)), key=lambda i: -p[i])[:2] for _, p, gold in rows]
    return rate(hits, [item.group for item, _, _ in rows])


def _mean_over(per_item: Callable[[list[float], int], float]) -> Callable[[list[Item], list[str]], Found]:
    def compute(items: list[Item], labels: list[str]) -> Found:
        values = [per_item(p, gold) for _, p, gold in having(items, labels)]
        return {"value": math.fsum(values) / len(values), "n": len(values)} if values else None

    return compute


def log_loss(p: list[float], gold: int) -> float:
    """−ln p(expected), p at least 2⁻⁵²."""
    return -math.log(max(p[gold] if gold >= 0 else 0.0, EPSILON))


def brier(p: list[float], gold: int) -> float:
    """The squared distance from the truth."""
    return math.fsum((x - (i == gold)) ** 2 for i, x in enumerate(p)) + (gold < 0)


def entropy(p: list[float], _gold: int = -1) -> float:
    """In nats."""
    return -math.fsum(x * math.log(x) for x in p if x > 0)


def perplexity(p: list[float], _gold: int = -1) -> float:
    """exp of the entropy."""
    return math.exp(entropy(p))


def bin_of(p: list[float]) -> int:
    """Which of the 15 bins the largest probability lies in."""
    return min(max(math.ceil(round(max(p) * BINS, 9)) - 1, 0), BINS - 1)


def _ece(items: list[Item], labels: list[str]) -> Found:
    rows = having(items, labels)
    gaps = [0.0] * BINS
    for _, p, gold in rows:
        gaps[bin_of(p)] += (p.index(max(p)) == gold) - max(p)
    return {"value": sum(map(abs, gaps)) / len(rows), "n": len(rows)} if rows else None


def _roc_auc(items: list[Item], labels: list[str]) -> Found:
    rows = having(items, labels)
    each = []
    for i in range(len(labels)):
        values = sorted((round(p[i], 12), gold == i) for _, p, gold in rows)
        positives = sum(hit for _, hit in values)
        if 0 < positives < len(rows):
            ranks = mean_ranks([value for value, _ in values])
            wins = sum(r for r, (_, hit) in zip(ranks, values, strict=True) if hit)
            wins -= positives * (positives + 1) / 2
            each.append(wins / (positives * (len(rows) - positives)))
    return {"value": sum(each) / len(each), "n": len(rows)} if each else None


def mean_ranks(values: Sequence[float]) -> list[float]:
    """Ranks from 1; equal values share their mean rank."""
    order = sorted(range(len(values)), key=lambda i: values[i])
    ranks, start = [0.0] * len(values), 0
    while start < len(order):
        end = start
        while end < len(order) and values[order[end]] == values[order[start]]:
            end += 1
        for i in order[start:end]:
            ranks[i] = (start + 1 + end) / 2
        start = end
    return ranks


def numbers(items: list[Item]) -> list[tuple[float, float, str | None]]:
    """(expected, answered, group) of the items where both are numbers."""
    found = []
    for item in items:
        try:
            gold, said = float(item.gold), float(item.read or "")
        except ValueError:
            continue
        if math.isfinite(gold) and math.isfinite(said) and max(abs(gold), abs(said)) < 1e150:
            found.append((gold, said, item.group))
    return found


def _of_numbers(compute: Callable[[list[float], list[float]], float | None]) -> Callable[..., Found]:
    def found(items: list[Item], _labels: list[str]) -> Found:
        pairs = numbers(items)
        value = compute([one[0] for one in pairs], [one[1] for one in pairs]) if pairs else None
        return {"value": value, "n": len(pairs)}

    return found


def _mae(gold: list[float], said: list[float]) -> float:
    return math.fsum(abs(a - b) for a, b in zip(gold, said, strict=True)) / len(gold)


def _rmse(gold: list[float], said: list[float]) -> float:
    return math.sqrt(math.fsum((a - b) ** 2 for a, b in zip(gold, said, strict=True)) / len(gold))


def _r2(gold: list[float], said: list[float]) -> float | None:
    mean = math.fsum(gold) / len(gold)
    spread = math.fsum((a - mean) ** 2 for a in gold)
    missed = math.fsum((a - b) ** 2 for a, b in zip(gold, said, strict=True))
    return 1 - missed / spread if len(set(gold)) > 1 else None


def _rank_correlation(gold: list[float], said: list[float]) -> float | None:
    if len(set(gold)) < 2 or len(set(said)) < 2:
        return None
    middle = (len(gold) + 1) / 2
    a, b = ([rank - middle for rank in mean_ranks(values)] for values in (gold, said))
    both = math.fsum(x * y for x, y in zip(a, b, strict=True))
    return both / math.sqrt(math.fsum(x * x for x in a) * math.fsum(y * y for y in b))


def _chrf(items: list[Item], _labels: list[str]) -> Found:
    return {"value": texts.chrf([texts.ngram_counts(i.read or "", i.gold) for i in items]), "n": len(items)}


def _json_fields(items: list[Item], _labels: list[str]) -> Found:
    shares = [texts.field_share(item.gold, item.read) for item in items]
    return {"value": math.fsum(shares) / len(shares), "n": len(items)}


def _judge_score(items: list[Item], _labels: list[str]) -> Found:
    marks = [item.mark for item in items if item.mark is not None]
    return {"value": math.fsum(marks) / len(marks), "n": len(marks)} if marks else None


CLASSES, NUMBER = ("classification",), ("number",)
METRICS: dict[str, tuple[tuple[str, ...], Callable[[list[Item], list[str]], Found]]] = {
    "accuracy": (CLASSES, _right),
    "macro_f1": (CLASSES, _macro_f1),
    "top2_accuracy": (CLASSES, _top2),
    "log_loss": (CLASSES, _mean_over(log_loss)),
    "brier": (CLASSES, _mean_over(brier)),
    "ece": (CLASSES, _ece),
    "roc_auc": (CLASSES, _roc_auc),
    "entropy": (CLASSES, _mean_over(entropy)),
    "perplexity": (CLASSES, _mean_over(perplexity)),
    "per_class": (CLASSES, _per_class),
    "confusion": (CLASSES, _confusion),
    "mae": (NUMBER, _of_numbers(_mae)),
    "rmse": (NUMBER, _of_numbers(_rmse)),
    "r2": (NUMBER, _of_numbers(_r2)),
    "rank_correlation": (NUMBER, _of_numbers(_rank_correlation)),
    "within_tolerance": (NUMBER, _right),
    "set_match": (("list",), _right),
    "exact_match": (("list", "json", "text"), _exact),
    "json_valid": (("json",), _valid),
    "json_fields": (("json",), _json_fields),
    "chrf": (("text",), _chrf),
    "judge_score": (("classification", "number", "list", "json", "text"), _judge_score),
}
