"""Weights that a person wants fetched once more"""

import sqlalchemy as sa
import sqlmodel
from alembic import op

import app.tables._base

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

TEXT = sqlmodel.sql.sqltypes.AutoString
TIME = app.tables._base.UtcTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "rescue",
        sa.Column("owner", TEXT(), nullable=True),
        sa.Column("lease_until", TIME, nullable=True),
        sa.Column("due_at", TIME, nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("state", TEXT(length=20), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("note", TEXT(length=1000), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name="fk_rescue_run_id_run"),
        sa.PrimaryKeyConstraint("id", name="pk_rescue"),
    )
    op.create_index("ix_rescue_due_at", "rescue", ["due_at"])
    op.create_index("ix_rescue_run_id", "rescue", ["run_id"], unique=True)
    op.create_index("ix_rescue_state", "rescue", ["state"])


def downgrade() -> None:
    op.drop_table("rescue")
