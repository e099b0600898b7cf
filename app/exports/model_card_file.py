"""Reads what a model card tells about a run, and writes it as a file. Used by kinds.py and hub_push.py."""

from sqlmodel import Session, col

from app.db import session_scope
from app.errors import NotFound
from app.evaluations.answers import describe
from app.evaluations.leaderboard import leaderboard
from app.evaluations.queries import scored_run
from app.exports.model_card import CardFacts, ScoreLine, card
from app.exports.weights import base_name, model_name
from app.exports.work import Made, Work
from app.lab.actor import Actor
from app.preferences import was_dpo
from app.runs import outputs
from app.runs.ledger import NOT_DISCLOSED, text
from app.storage import run_folder
from app.tables import Export, Run


def make_card(work: Work) -> Made:
    """README.md of the run."""
    work.target.write_text(card_text(work.export, work.run), encoding="utf-8")
    return Made(f"{base_name(work.run)}-README.md")


def card_text(export: Export, run: Run) -> str:
    """The card as text, with the choices that the export stores."""
    actor = Actor(export.maker_id, export.project_id, "", "")
    with session_scope(write=False) as session:
        return card(card_facts(session, actor, run), export.parameters)


def card_facts(session: Session, actor: Actor, run: Run) -> CardFacts:
    """Everything from the stored snapshot, ledger and newest scoring; nothing of the moment of writing."""
    run_id = run.id or 0
    folder = run_folder(run_id)
    resolved = outputs.read_json(folder, "resolved.json")
    weights = outputs.weights_folder(folder)
    row = leaderboard(session, actor, [col(Run.id) == run_id])[0]
    try:
        rules = describe(scored_run(session, actor, run_id).rules)
    except NotFound:
        rules = []
    return CardFacts(
        title=f"{row.name} on {run.snapshot.get('dataset', 'its data set')}",
        model=model_name(run),
        seed=run.seed,
        task=str(run.snapshot.get("task", "")),
        adapter=weights is not None and weights.name == "adapter",
        base=resolved.get("base") or {},
        snapshot=run.snapshot,
        dpo=was_dpo(run.ledger),
        ledger=[
            (name, text(line["resolved"]) if line["resolved"] is not None else NOT_DISCLOSED, line["source"])
            for name, line in run.ledger.items()
        ],
        scores=[
            ScoreLine(score.name, score.label, score.value, score.low, score.high, score.n)
            for score in row.scores.values()
            if score.value is not None
        ],
        rules=rules,
        decoding=resolved.get("decoding") or {},
    )
