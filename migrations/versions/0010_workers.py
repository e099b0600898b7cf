"""Workers on several machines: who is there, and on which machine each place to train is"""

import sqlalchemy as sa
import sqlmodel
from alembic import op

import app.tables._base

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

TEXT = sqlmodel.sql.sqltypes.AutoString
TIME = app.tables._base.UtcTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "worker",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", TEXT(length=300), nullable=False),
        sa.Column("machine", TEXT(length=200), nullable=False),
        sa.Column("queues", TEXT(length=100), nullable=False),
        sa.Column("started_at", TIME, nullable=False),
        sa.Column("seen_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_worker"),
        sa.UniqueConstraint("name", name="uq_worker_name"),
    )
    op.create_index("ix_worker_machine", "worker", ["machine"])
    op.add_column("slot", sa.Column("machine", TEXT(length=200), nullable=False, server_default=""))
    op.create_index("ix_slot_machine", "slot", ["machine"])
    if op.get_bind().dialect.name == "postgresql":
        # Places were numbered by hand until now.
        op.execute(
            "SELECT setval(pg_get_serial_sequence('slot', 'id'), GREATEST((SELECT MAX(id) FROM slot), 1))"
        )


def downgrade() -> None:
    op.drop_index("ix_slot_machine", "slot")
    op.drop_column("slot", "machine")
    op.drop_table("worker")
