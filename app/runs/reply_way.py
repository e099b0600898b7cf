"""The way of a run's questions, chat or batch, decided at its first one and kept. Called by hosted_predict.py."""

from app.catalog.ways import choose_way
from app.runs.hosted import Save
from app.runs.ledger import sent_values
from app.runs.reply_plan import Plan
from app.runs.reply_rows import note_down
from app.tables import Run


def settle_way(run: Run, save: Save, plan: Plan) -> str:
    """The run's way, decided at its first question and kept; a person may change it later."""
    noted = run.snapshot.get("predicting") or {}
    if noted.get("way"):
        return str(noted["way"])
    asked = str(sent_values(run.ledger).get("way") or "")
    way = choose_way(plan.target.provider, plan.target.price, plan.target.tuned, asked)
    with save() as session:
        note_down(session, run, way=way.name, reason=way.reason)
    return way.name
