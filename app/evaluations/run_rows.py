"""The run page's small tables as plain rows: facts of its head, snapshot, ledger, files."""

from typing import Any

from app.evaluations.answers import Rules
from app.format import DASH, count, duration, moment, money, number, short_count, short_hash, size
from app.runs.hosted_view import HostedView
from app.runs.ledger import NOT_DISCLOSED, LedgerRow
from app.runs.queries import FileLine, RunView
from app.runs.reply_service import RepliesView

FEW_TOLD = 12


def status_facts(run: RunView) -> list[tuple[str, str]]:
    """The strip below the run's title: value and what it is."""
    facts = []
    if run.active:
        facts.append((run.progress_note or run.state, "now"))
        if run.seconds_left is not None:
            facts.append((duration(run.seconds_left), "left in this stage"))
    facts.append((duration(run.seconds), "so far" if run.active else "in all"))
    if run.tokens_per_second:
        facts.append((f"{short_count(run.tokens_per_second)} / s", "tokens"))
    facts.append((money(run.money.spent if run.money else run.microdollars), "cost"))
    if run.money and run.money.open:
        facts.append((money(run.money.reserved) if run.money.known else "price not known", "still reserved"))
    facts.append((run.model, "model"))
    if run.away:
        facts.append((run.away.machine, "compute"))
    facts.append((short_hash(str(run.snapshot.get("split_sha256", ""))), "data and split"))
    return facts


def ledger_rows(rows: list[LedgerRow]) -> list[dict[str, Any]]:
    """The ledger as the macro takes it: `hidden` is "not disclosed", or by whom it is not."""
    told = _told(rows)
    return [_ledger_row(row) for row in rows if row not in told]


def told_rows(rows: list[LedgerRow]) -> list[dict[str, Any]]:
    """What only the trainer says of itself, where that is much: some toolkits resolve a hundred settings."""
    return [_ledger_row(row) for row in _told(rows)]


def _told(rows: list[LedgerRow]) -> list[LedgerRow]:
    found = [row for row in rows if row.asked == row.sent == DASH and not _hidden(row)]
    return found if len(found) > FEW_TOLD else []


def _ledger_row(row: LedgerRow) -> dict[str, Any]:
    return {
        "name": row.label,
        "asked": "" if row.asked == DASH else row.asked,
        "sent": "" if row.sent == DASH else row.sent,
        "resolved": "" if row.resolved == DASH or _hidden(row) else row.resolved,
        "hidden": row.resolved if _hidden(row) else "",
        "source": row.source,
    }


def _hidden(row: LedgerRow) -> bool:
    return row.resolved.startswith(NOT_DISCLOSED)


def reply_rows(view: RepliesView) -> list[tuple[str, ...]]:
    """How far the questions to a service are, as pairs."""
    rows: list[tuple[str, ...]] = [("Answered", count(view.answered))]
    if view.waiting:
        rows.append(("Waiting", count(view.waiting)))
    if view.failed:
        rows.append(("Without an answer", count(view.failed)))
    return rows


def service_rows(view: HostedView) -> list[tuple[str, ...]]:
    """What is known of the job at the service, as pairs."""
    said = view.state + (f": {view.message}" if view.message else "")
    rows: list[tuple[str, ...]] = [("It says", said or "nothing yet")]
    if view.remote_id:
        rows.append(("Job", view.remote_id, "mono"))
    if view.tuned_model:
        rows.append(("Model made", view.tuned_model, "mono"))
    if view.trained_tokens:
        rows.append(("Tokens trained", count(view.trained_tokens)))
    if view.trouble:
        rows.append(("Last trouble", view.trouble))
    rows.append(("Asked to train, UTC", moment(view.sent_at)))
    rows.append(("Last heard, UTC", moment(view.heard_at)))
    rows.append(("Address", view.base_url, "mono"))
    if view.undisclosed:
        rows.append((f"{view.label} never says", ", ".join(view.undisclosed)))
    if view.ends_on:
        rows.append(("Its models end on", view.ends_on))
    return rows


def file_rows(files: list[FileLine]) -> list[tuple[str, str, str, str]]:
    """Files as (name, note, address, size)."""
    return [
        (file.label, file.note, file.href, size(file.size_bytes) if file.size_bytes is not None else "")
        for file in files
    ]


def snapshot_rows(run: RunView) -> list[tuple[str, ...]]:
    """What the run was made from and on, as stored."""
    stored = run.snapshot
    environment = stored.get("environment") or {}
    hardware, usage = environment.get("hardware") or {}, stored.get("usage") or {}
    rows = [
        ("Data set", f"{stored.get('dataset', DASH)}"),
        ("Data SHA-256", str(stored.get("dataset_sha256", DASH)), "mono"),
        ("Split", f"{stored.get('split', DASH)}"),
        ("Split SHA-256", str(stored.get("split_sha256", DASH)), "mono"),
        (
            "Items",
            " / ".join(
                count((stored.get("counts") or {}).get(part, 0)) for part in ("train", "validation", "test")
            ),
        ),
        ("Seed", DASH if run.seed is None else str(run.seed)),
        ("Tunebook", str(stored.get("code", DASH)), "mono"),
        ("Launched, UTC", moment(run.launched_at)),
        ("Started, UTC", moment(run.started_at)),
        ("Ended, UTC", moment(run.ended_at)),
    ]
    rows += _measured(run, hardware, usage, environment)
    packages = environment.get("packages") or {}
    if packages:
        rows.append(
            ("Packages", ", ".join(f"{name} {version}" for name, version in packages.items()), "mono")
        )
    return rows


def _measured(
    run: RunView, hardware: dict[str, Any], usage: dict[str, Any], environment: dict[str, Any]
) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    if usage:
        rows.append(("Training", duration(usage.get("train_seconds"))))
        rows.append(("Predicting", duration(usage.get("predict_seconds"))))
        if usage.get("tokens_trained"):
            rows.append(("Tokens trained", count(usage["tokens_trained"])))
        energy = usage.get("energy_joules")
        rows.append(("Energy", f"{number(energy / 3600)} Wh" if energy else "not measured here"))
    if run.snapshot.get("parameters"):
        trained = run.snapshot.get("trained_parameters") or run.snapshot["parameters"]
        rows.append(("Parameters", f"{count(run.snapshot['parameters'])}, {count(trained)} trained"))
    if hardware:
        memory = f", {size(hardware['memory_bytes'])} memory" if hardware.get("memory_bytes") else ""
        rows.append(("Processor", f"{hardware.get('cpu')}, {hardware.get('cores')} cores{memory}"))
        rows.append(("GPU", hardware.get("gpu") or "none"))
        rows.append(("Threads", str(environment.get("threads", DASH))))
        rows.append(("Python", str(environment.get("python", DASH))))
    return rows


def alias_lines(rules: Rules) -> str:
    """The aliases as the form shows them."""
    return "\n".join(f"{written} = {label}" for written, label in rules.aliases.items())
