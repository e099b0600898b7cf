"""What is known of a hosted job while it is looked for, polled and cancelled; orphans"""

import sqlalchemy as sa
import sqlmodel
from alembic import op

import app.tables._base

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

TEXT = sqlmodel.sql.sqltypes.AutoString
TIME = app.tables._base.UtcTime(timezone=True)


def upgrade() -> None:
    with op.batch_alter_table("remotejob", schema=None) as batch_op:
        for name, kind, default in (
            ("creates", sa.Integer(), "0"),
            ("decisions", sa.JSON(), "[]"),
            ("claimed_id", TEXT(length=300), ""),
            ("doubles", sa.JSON(), "[]"),
            ("alarm", TEXT(length=2000), ""),
            ("checked", sa.Boolean(), sa.false()),
            ("message", TEXT(length=1000), ""),
            ("log_bytes", sa.BigInteger(), "0"),
            ("trouble", TEXT(length=1000), ""),
        ):
            batch_op.add_column(sa.Column(name, kind, nullable=False, server_default=default))
        for name in ("start_sent_at", "heard_at", "wait_until"):
            batch_op.add_column(sa.Column(name, TIME, nullable=True))
    op.create_table(
        "orphan",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("account_run_id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=True),
        sa.Column("provider", TEXT(length=40), nullable=False),
        sa.Column("base_url", TEXT(length=500), nullable=False),
        sa.Column("remote_id", TEXT(length=300), nullable=False),
        sa.Column("launch_key", TEXT(length=64), nullable=False),
        sa.Column("state", TEXT(length=20), nullable=False),
        sa.Column("remote_state", TEXT(length=100), nullable=False),
        sa.Column("phase", TEXT(length=20), nullable=False),
        sa.Column("message", TEXT(length=1000), nullable=False),
        sa.Column("found_at", TIME, nullable=False),
        sa.Column("looked_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["account_run_id"], ["run.id"], name=op.f("fk_orphan_account_run_id_run")),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name=op.f("fk_orphan_project_id_project")),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_orphan_run_id_run")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_orphan")),
        sa.UniqueConstraint(
            "provider", "base_url", "remote_id", name=op.f("uq_orphan_provider_base_url_remote_id")
        ),
    )
    with op.batch_alter_table("orphan", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_orphan_project_id"), ["project_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_orphan_run_id"), ["run_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_orphan_state"), ["state"], unique=False)


def downgrade() -> None:
    op.drop_table("orphan")
    with op.batch_alter_table("remotejob", schema=None) as batch_op:
        for name in (
            *("creates", "decisions", "claimed_id", "doubles", "alarm", "checked", "message", "log_bytes"),
            *("trouble", "start_sent_at", "heard_at", "wait_until"),
        ):
            batch_op.drop_column(name)
