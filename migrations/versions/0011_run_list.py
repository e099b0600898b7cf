"""Indexes by which the list of all runs is filtered and ordered"""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_run_project_model", "run", ["project_id", "model", "id"])
    op.create_index("ix_run_project_state", "run", ["project_id", "state", "id"])
    op.create_index("ix_score_ranking", "score", ["name", "subset", "value", "scoring_id"])
    # The new one begins with the name; a value alone is never asked for.
    op.drop_index("ix_score_name", "score")
    op.drop_index("ix_score_value", "score")


def downgrade() -> None:
    op.create_index("ix_score_value", "score", ["value"])
    op.create_index("ix_score_name", "score", ["name"])
    op.drop_index("ix_score_ranking", "score")
    op.drop_index("ix_run_project_state", "run")
    op.drop_index("ix_run_project_model", "run")
