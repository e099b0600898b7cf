"""The Methods section in prose: every number that a reader needs to judge or repeat the comparison.

Numbers come from snapshots, ledgers and scores, never from this machine.
"""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from app.evaluations.answers import describe
from app.evaluations.columns import written
from app.exports.methods_data import data, ended
from app.exports.score_table import interval_sentence, p_written
from app.exports.state import PaperRun, PaperState
from app.format import count, duration, joined, moment, money, number, plural, size
from app.metrics import for_task
from app.preferences import was_dpo
from app.runs.ledger import NOT_DISCLOSED, YOU, text


def methods(state: PaperState) -> str:
    """Paragraphs, each with its heading in front: Data, Models, Evaluation, Results, Hardware and software."""
    paragraphs = [
        ("Data", data(state)),
        ("Models", _models(state)),
        ("Evaluation", _evaluation(state)),
        ("Results", _results(state)),
        ("Hardware and software", _machines(state)),
        ("Cost and dates", _cost(state)),
    ]
    return "\n\n".join(f"{head}. {' '.join(said)}" for head, said in paragraphs if said) + "\n"


def _models(state: PaperState) -> list[str]:
    said = []
    for model in dict.fromkeys(run.model for run in state.runs):
        said += _model([run for run in state.runs if run.model == model])
    seeds = sorted({run.seed for run in state.runs if run.seed is not None})
    if seeds:
        said.append(f"{'Seed' if len(seeds) == 1 else 'Seeds'}: {joined(map(str, seeds))}.")
    return said


def _model(runs: Sequence[PaperRun]) -> list[str]:
    first = runs[0]
    if first.imported:
        matched = f" ({first.matched_by})" if first.matched_by else ""
        return [
            f"The answers of {first.label} were made outside Tunebook and imported{matched}; "
            "how that model was made is not recorded."
        ]
    said = [f"{first.label} ({first.model}{_weights(first)})"]
    parameters = first.snapshot.get("parameters")
    if parameters:
        trained = first.snapshot.get("trained_parameters") or parameters
        said[0] += f" has {count(parameters)} parameters, of which {count(trained)} were trained"
    for variant in _variants(runs):
        said += _settings(variant, several=len(_variants(runs)) > 1)
    said[0] = ended(said[0]) if parameters else said[0]
    return said if parameters else [f"{said[0]}: {said[1][:1].lower()}{said[1][1:]}", *said[2:]]


def _weights(run: PaperRun) -> str:
    """Which base weights, where the run says so."""
    base = run.snapshot.get("base") or {}
    if base.get("sha256"):
        return f"; weights with SHA-256 {base['sha256']}"
    return f"; revision {base['revision']}" if base.get("revision") else ""


def _variants(runs: Sequence[PaperRun]) -> list[list[PaperRun]]:
    """Runs with the same settings together; the seed is no setting here."""
    found: dict[str, list[PaperRun]] = {}
    for run in runs:
        settings = {name: row for name, row in run.ledger.items() if name != "seed"}
        found.setdefault(repr(settings), []).append(run)
    return list(found.values())


def _settings(runs: Sequence[PaperRun], several: bool) -> list[str]:
    ledger = {name: row for name, row in runs[0].ledger.items() if name != "seed"}
    asked = [name for name, row in ledger.items() if row["source"] == YOU]
    rest = [name for name in ledger if name not in asked]
    said = []
    if not ledger:
        return _begun(runs, several, ["It has no hyperparameters."])
    if was_dpo(ledger):
        said.append(_preferences(runs[0]))
    if asked:
        said.append(f"We set {joined(_value(name, ledger[name]) for name in asked)}.")
    if rest:
        values = joined(_value(name, ledger[name]) for name in rest)
        said.append(f"The values left to Tunebook or its trainer were {values}.")
    hidden = [_name(name) for name, row in ledger.items() if row["resolved"] is None]
    if hidden:
        said.append(f"What really ran is {NOT_DISCLOSED} for {joined(hidden)}.")
    return _begun(runs, several, said)


def _begun(runs: Sequence[PaperRun], several: bool, said: list[str]) -> list[str]:
    """The sentences, the first of which says of which runs they are where a model has several settings."""
    if not several:
        return said
    return [f"With {joined(run.key for run in runs)}, {said[0][:1].lower()}{said[0][1:]}", *said[1:]]


def _preferences(run: PaperRun) -> str:
    pairs = (run.snapshot.get("pairs") or {}).get("train")
    on = f" on {count(pairs)} pairs of a wanted and a rejected answer" if pairs else ""
    return f"We trained by direct preference optimization (Rafailov et al., 2023){on}."


def _name(name: str) -> str:
    return name.replace("_", " ")


def _value(name: str, row: dict[str, Any]) -> str:
    """A hyperparameter as it ran; where that differs from what was asked, both."""
    ran, wanted = row["resolved"], row["asked"] if row["asked"] is not None else row["sent"]
    if ran is None:
        return f"{_name(name)} {text(wanted)}"
    if wanted is not None and text(wanted) != text(ran):
        return f"{_name(name)} {text(ran)} (asked: {text(wanted)})"
    return f"{_name(name)} {text(ran)}"


def _evaluation(state: PaperState) -> list[str]:
    said = []
    for rules, runs in _by_rules(state):
        whose = "" if len(_by_rules(state)) == 1 else f" of {joined(run.key for run in runs)}"
        said.append(f"Answers{whose} were read by these rules: {' '.join(rules)}")
    known = [run for run in state.runs if run.decoding.get("source") != "imported"]
    for decoding, runs in _grouped((_decoding(run), run) for run in known):
        whose = "" if len(runs) == len(state.runs) else f" of {joined(run.key for run in runs)}"
        said.append(f"How answers{whose} were made: {decoding}.")
    said += _judges(state)
    metrics = {metric.name: metric for metric in for_task(state.task)}
    for name in dict.fromkeys((state.primary, state.tested)):
        said.append(f"{metrics[name].label} is: {ended(metrics[name].formula)}")
    said.append(interval_sentence(state))
    if state.pairs:
        groups = max(pair.groups for pair in state.pairs)
        test = "the exact McNemar test over the items that both answered"
        if groups:
            test = f"an exact permutation test that swaps {groups:,} whole groups of the items that both answered"
        said.append(
            f"Each run was held against the best by {test} "
            f"(two-sided); p values were corrected by Holm for {plural(len(state.pairs), 'comparison')}. "
            "Differences have Tango’s paired score interval"
            f"{', widened by the design effect of the groups' if groups else ''}."
        )
    return said + list(state.looks)


def _by_rules(state: PaperState) -> list[tuple[tuple[str, ...], list[PaperRun]]]:
    return _grouped((tuple(describe(run.rules)), run) for run in state.runs)


def _grouped(pairs: Iterable[tuple[Any, PaperRun]]) -> list[tuple[Any, list[PaperRun]]]:
    found: dict[Any, list[PaperRun]] = {}
    for key, run in pairs:
        found.setdefault(key, []).append(run)
    return list(found.items())


def _decoding(run: PaperRun) -> str:
    """ "greedy; temperature 0; max new tokens 6"."""
    named = {name: value for name, value in run.decoding.items() if name != "method"}
    method = [text(run.decoding["method"])] if "method" in run.decoding else []
    return (
        "; ".join(method + [f"{_name(name)} {text(value)}" for name, value in named.items()]) or "no settings"
    )


def _judges(state: PaperState) -> list[str]:
    judged = [(json.dumps(run.judge, sort_keys=True), run) for run in state.runs if run.judge]
    said = []
    for _, runs in _grouped(judged):
        judge = runs[0].judge
        whose = "" if len(runs) == len(state.runs) else f" of {joined(run.key for run in runs)}"
        of = "" if judge["items"] == judge["of_items"] else f" of {count(judge['of_items'])}"
        said.append(
            f"Answers{whose} were marked by the judge model {judge['model']} on {count(judge['items'])}{of} items "
            f"(scale: {judge['scale']}; prompt SHA-256 {judge['prompt_sha256']}); the judge score is the mean mark."
        )
    return said


def _results(state: PaperState) -> list[str]:
    metric = next(metric for metric in for_task(state.task) if metric.name == state.primary)
    unit = " %" if metric.format == "percent" else ""
    said = []
    for run in state.runs:
        score = run.scores.get(state.primary)
        if score is None or score.value is None:
            continue
        ends = ""
        if score.low is not None:
            ends = (
                f" (95 % interval {written(score.low, score.format)} to {written(score.high, score.format)})"
            )
        said.append(f"{run.name}: {written(score.value, score.format)}{unit}{ends}, n = {count(score.n)}.")
    if said:
        said[0] = f"{metric.label} was: {said[0]}"
    if state.pairs:
        worse = [f"{state.run(p.b).name} ({p_written(p.p_holm)})" for p in state.pairs if p.significant]
        said.append(
            f"Significantly fewer right answers than {state.best.name} have {joined(worse)} (corrected p in brackets)."
            if worse
            else f"No run has significantly fewer right answers than {state.best.name}."
        )
    return said


def _machines(state: PaperState) -> list[str]:
    ran = [run for run in state.runs if not run.imported]
    said = []
    for machine, runs in _grouped((_machine(run), run) for run in ran):
        if machine:
            whose = "Runs ran" if len(runs) == len(ran) else f"{joined(run.key for run in runs)} ran"
            said.append(f"{whose} on {machine}.")
    packages = sorted({f"{name} {version}" for run in ran for name, version in packages_of(run).items()})
    pythons = sorted({str(_environment(run)["python"]) for run in ran if _environment(run).get("python")})
    if pythons:
        said.append(f"Software: Python {joined(pythons)}{', ' + joined(packages) if packages else ''}.")
    codes = sorted({str(run.snapshot["code"]) for run in ran if run.snapshot.get("code")})
    if codes:
        said.append(f"Runs were made with Tunebook {joined(codes)}.")
    return said


def _environment(run: PaperRun) -> dict[str, Any]:
    return run.snapshot.get("environment") or {}


def packages_of(run: PaperRun) -> dict[str, str]:
    """{package: version} that the run recorded."""
    return _environment(run).get("packages") or {}


def _machine(run: PaperRun) -> str:
    hardware = _environment(run).get("hardware") or {}
    if not hardware:
        return ""
    parts = [f"{hardware.get('cpu')} ({plural(hardware.get('cores') or 0, 'core')})"]
    if hardware.get("memory_bytes"):
        parts.append(f"{size(hardware['memory_bytes'])} of memory")
    parts.append(f"the GPU {hardware['gpu']}" if hardware.get("gpu") else "no GPU")
    return f"{joined(parts)}, with {plural(_environment(run).get('threads') or 0, 'thread')}"


def _cost(state: PaperState) -> list[str]:
    ran = [run for run in state.runs if not run.imported]
    if not ran:
        return []
    usage = [run.snapshot.get("usage") or {} for run in ran]
    known = [run.microdollars for run in ran if run.microdollars is not None]
    said = [f"The {plural(len(known), 'run')} cost {money(sum(known))} in all."] if known else []
    if len(known) < len(ran):
        said.append(f"What {plural(len(ran) - len(known), 'run')} cost was not told by the service.")
    seconds = [one["train_seconds"] for one in usage if one.get("train_seconds")]
    if seconds:
        said.append(f"Training took {duration(sum(seconds))} in all.")
    tokens = sum(one.get("tokens_trained") or 0 for one in usage)
    if tokens:
        said.append(f"{count(tokens)} tokens were trained on.")
    energy = [one["energy_joules"] for one in usage if one.get("energy_joules")]
    said.append(f"{number(sum(energy) / 3600)} Wh were used." if energy else "Energy was not measured.")
    starts = [run.started_at for run in ran if run.started_at]
    ends = [run.ended_at for run in ran if run.ended_at]
    if starts and ends:
        said.append(f"Runs ran from {moment(min(starts))} to {moment(max(ends))} UTC.")
    return said
