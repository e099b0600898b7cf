"""Places for training other than this machine, and the jobs there"""

import sqlalchemy as sa
import sqlmodel
from alembic import op

import app.tables._base

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

TEXT = sqlmodel.sql.sqltypes.AutoString
TIME = app.tables._base.UtcTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "machine",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("maker_id", sa.Integer(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        *_leased(),
        sa.Column("name", TEXT(length=60), nullable=False),
        sa.Column("kind", TEXT(length=40), nullable=False),
        sa.Column("fields", sa.JSON(), nullable=False),
        sa.Column("sealed_secret", TEXT(length=20000), nullable=False),
        sa.Column("allow_private", sa.Boolean(), nullable=False),
        sa.Column("slots", sa.Integer(), nullable=False),
        sa.Column("deadline_hours", sa.Float(), nullable=False),
        sa.Column("state", TEXT(length=20), nullable=False),
        sa.Column("note", TEXT(length=2000), nullable=False),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.Column("orphans", sa.JSON(), nullable=False),
        sa.Column("stopping", sa.JSON(), nullable=False),
        sa.Column("checked_at", TIME, nullable=True),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name="fk_machine_project_id_project"),
        sa.ForeignKeyConstraint(["maker_id"], ["member.id"], name="fk_machine_maker_id_member"),
        sa.PrimaryKeyConstraint("id", name="pk_machine"),
        sa.UniqueConstraint("project_id", "name", name="uq_machine_project_id_name"),
    )
    op.create_table(
        "machinejob",
        sa.Column("id", sa.Integer(), nullable=False),
        *_leased(),
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("machine_id", sa.Integer(), nullable=False),
        sa.Column("state", TEXT(length=20), nullable=False),
        sa.Column("sent_at", TIME, nullable=True),
        sa.Column("submits", sa.Integer(), nullable=False),
        sa.Column("looks", sa.Integer(), nullable=False),
        sa.Column("not_confirmed", sa.Boolean(), nullable=False),
        sa.Column("handle", sa.JSON(), nullable=False),
        sa.Column("remote_state", TEXT(length=100), nullable=False),
        sa.Column("message", TEXT(length=1000), nullable=False),
        sa.Column("heard_at", TIME, nullable=True),
        sa.Column("running_since", TIME, nullable=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("trouble", TEXT(length=1000), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name="fk_machinejob_run_id_run"),
        sa.ForeignKeyConstraint(["machine_id"], ["machine.id"], name="fk_machinejob_machine_id_machine"),
        sa.PrimaryKeyConstraint("id", name="pk_machinejob"),
        sa.UniqueConstraint("run_id", name="uq_machinejob_run_id"),
    )
    for table, columns in (
        ("machine", ("due_at", "project_id", "state")),
        ("machinejob", ("due_at", "machine_id", "state")),
    ):
        for column in columns:
            op.create_index(f"ix_{table}_{column}", table, [column])
    # Not in a batch, which would drop the table that others point to.
    op.execute(
        "ALTER TABLE run ADD COLUMN machine_id INTEGER "
        "CONSTRAINT fk_run_machine_id_machine REFERENCES machine (id)"
    )
    op.create_index("ix_run_machine_id", "run", ["machine_id"])


def _leased() -> list[sa.Column[object]]:
    return [
        sa.Column("owner", TEXT(), nullable=True),
        sa.Column("lease_until", TIME, nullable=True),
        sa.Column("due_at", TIME, nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=False),
    ]


def downgrade() -> None:
    with op.batch_alter_table("run", schema=None) as batch_op:
        batch_op.drop_index("ix_run_machine_id")
        batch_op.drop_constraint("fk_run_machine_id_machine", type_="foreignkey")
        batch_op.drop_column("machine_id")
    op.drop_table("machinejob")
    op.drop_table("machine")
