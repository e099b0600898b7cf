"""Hosted services"""

import sqlalchemy as sa
import sqlmodel
from alembic import op

import app.tables._base

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "providersetting",
        sa.Column("provider", sqlmodel.sql.sqltypes.AutoString(length=40), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("base_url", sqlmodel.sql.sqltypes.AutoString(length=500), nullable=False),
        sa.Column("allow_private", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("provider", name=op.f("pk_providersetting")),
    )
    op.create_table(
        "credential",
        sa.Column("owner", sqlmodel.sql.sqltypes.AutoString(), nullable=True),
        sa.Column("lease_until", app.tables._base.UtcTime(timezone=True), nullable=True),
        sa.Column("due_at", app.tables._base.UtcTime(timezone=True), nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("maker_id", sa.Integer(), nullable=False),
        sa.Column("created_at", app.tables._base.UtcTime(timezone=True), nullable=False),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("provider", sqlmodel.sql.sqltypes.AutoString(length=40), nullable=False),
        sa.Column("member_id", sa.Integer(), nullable=True),
        sa.Column("sealed_key", sqlmodel.sql.sqltypes.AutoString(length=4000), nullable=False),
        sa.Column("fields", sa.JSON(), nullable=False),
        sa.Column("host", sqlmodel.sql.sqltypes.AutoString(length=300), nullable=False),
        sa.Column("state", sqlmodel.sql.sqltypes.AutoString(length=20), nullable=False),
        sa.Column("note", sqlmodel.sql.sqltypes.AutoString(length=1000), nullable=False),
        sa.Column("account", sqlmodel.sql.sqltypes.AutoString(length=300), nullable=False),
        sa.Column("checked_at", app.tables._base.UtcTime(timezone=True), nullable=True),
        sa.Column("removed_at", app.tables._base.UtcTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["maker_id"], ["member.id"], name=op.f("fk_credential_maker_id_member")),
        sa.ForeignKeyConstraint(["member_id"], ["member.id"], name=op.f("fk_credential_member_id_member")),
        sa.ForeignKeyConstraint(
            ["project_id"], ["project.id"], name=op.f("fk_credential_project_id_project")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_credential")),
    )
    with op.batch_alter_table("credential", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_credential_due_at"), ["due_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_credential_member_id"), ["member_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_credential_project_id"), ["project_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_credential_provider"), ["provider"], unique=False)
        batch_op.create_index(batch_op.f("ix_credential_state"), ["state"], unique=False)

    op.create_table(
        "storedoffer",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("credential_id", sa.Integer(), nullable=False),
        sa.Column("provider", sqlmodel.sql.sqltypes.AutoString(length=40), nullable=False),
        sa.Column("model", sqlmodel.sql.sqltypes.AutoString(length=300), nullable=False),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.Column("looked_at", app.tables._base.UtcTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["credential_id"], ["credential.id"], name=op.f("fk_storedoffer_credential_id_credential")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_storedoffer")),
        sa.UniqueConstraint("credential_id", "model", name=op.f("uq_storedoffer_credential_id_model")),
    )
    with op.batch_alter_table("storedoffer", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_storedoffer_credential_id"), ["credential_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_storedoffer_provider"), ["provider"], unique=False)

    op.create_table(
        "budget",
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("maker_id", sa.Integer(), nullable=False),
        sa.Column("created_at", app.tables._base.UtcTime(timezone=True), nullable=False),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("scope", sqlmodel.sql.sqltypes.AutoString(length=20), nullable=False),
        sa.Column("member_id", sa.Integer(), nullable=True),
        sa.Column("experiment_id", sa.Integer(), nullable=True),
        sa.Column("cap_microdollars", sa.BigInteger(), nullable=False),
        sa.Column("period", sqlmodel.sql.sqltypes.AutoString(length=20), nullable=False),
        sa.Column("allow_unknown", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["experiment_id"], ["experiment.id"], name=op.f("fk_budget_experiment_id_experiment")
        ),
        sa.ForeignKeyConstraint(["maker_id"], ["member.id"], name=op.f("fk_budget_maker_id_member")),
        sa.ForeignKeyConstraint(["member_id"], ["member.id"], name=op.f("fk_budget_member_id_member")),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name=op.f("fk_budget_project_id_project")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_budget")),
    )
    with op.batch_alter_table("budget", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_budget_experiment_id"), ["experiment_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_budget_member_id"), ["member_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_budget_project_id"), ["project_id"], unique=False)

    op.create_table(
        "deployment",
        sa.Column("owner", sqlmodel.sql.sqltypes.AutoString(), nullable=True),
        sa.Column("lease_until", app.tables._base.UtcTime(timezone=True), nullable=True),
        sa.Column("due_at", app.tables._base.UtcTime(timezone=True), nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("provider", sqlmodel.sql.sqltypes.AutoString(length=40), nullable=False),
        sa.Column("credential_id", sa.Integer(), nullable=True),
        sa.Column("base_url", sqlmodel.sql.sqltypes.AutoString(length=500), nullable=False),
        sa.Column("launch_key", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("sent", sqlmodel.sql.sqltypes.AutoString(length=20), nullable=False),
        sa.Column("looks", sa.Integer(), nullable=False),
        sa.Column("remote_id", sqlmodel.sql.sqltypes.AutoString(length=300), nullable=False),
        sa.Column("model", sqlmodel.sql.sqltypes.AutoString(length=500), nullable=False),
        sa.Column("state", sqlmodel.sql.sqltypes.AutoString(length=20), nullable=False),
        sa.Column("remote_state", sqlmodel.sql.sqltypes.AutoString(length=100), nullable=False),
        sa.Column("message", sqlmodel.sql.sqltypes.AutoString(length=1000), nullable=False),
        sa.Column("hourly_microdollars", sa.BigInteger(), nullable=True),
        sa.Column("asked_at", app.tables._base.UtcTime(timezone=True), nullable=False),
        sa.Column("running_since", app.tables._base.UtcTime(timezone=True), nullable=True),
        sa.Column("last_used_at", app.tables._base.UtcTime(timezone=True), nullable=True),
        sa.Column("idle_minutes", sa.Integer(), nullable=False),
        sa.Column("stopped_at", app.tables._base.UtcTime(timezone=True), nullable=True),
        sa.Column("raw", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["credential_id"], ["credential.id"], name=op.f("fk_deployment_credential_id_credential")
        ),
        sa.ForeignKeyConstraint(
            ["project_id"], ["project.id"], name=op.f("fk_deployment_project_id_project")
        ),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_deployment_run_id_run")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deployment")),
        sa.UniqueConstraint("launch_key", name=op.f("uq_deployment_launch_key")),
    )
    with op.batch_alter_table("deployment", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_deployment_due_at"), ["due_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_deployment_project_id"), ["project_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_deployment_run_id"), ["run_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_deployment_state"), ["state"], unique=False)

    op.create_table(
        "remotebatch",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("part", sqlmodel.sql.sqltypes.AutoString(length=20), nullable=False),
        sa.Column("piece", sa.Integer(), nullable=False),
        sa.Column("launch_key", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("sent", sqlmodel.sql.sqltypes.AutoString(length=20), nullable=False),
        sa.Column("sent_at", app.tables._base.UtcTime(timezone=True), nullable=True),
        sa.Column("looks", sa.Integer(), nullable=False),
        sa.Column("remote_id", sqlmodel.sql.sqltypes.AutoString(length=300), nullable=False),
        sa.Column("state", sqlmodel.sql.sqltypes.AutoString(length=100), nullable=False),
        sa.Column("phase", sqlmodel.sql.sqltypes.AutoString(length=20), nullable=False),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("message", sqlmodel.sql.sqltypes.AutoString(length=1000), nullable=False),
        sa.Column("read_at", app.tables._base.UtcTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_remotebatch_run_id_run")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_remotebatch")),
        sa.UniqueConstraint("launch_key", name=op.f("uq_remotebatch_launch_key")),
        sa.UniqueConstraint("run_id", "part", "piece", name=op.f("uq_remotebatch_run_id_part_piece")),
    )
    with op.batch_alter_table("remotebatch", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_remotebatch_run_id"), ["run_id"], unique=False)

    op.create_table(
        "remotejob",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("provider", sqlmodel.sql.sqltypes.AutoString(length=40), nullable=False),
        sa.Column("credential_id", sa.Integer(), nullable=True),
        sa.Column("base_url", sqlmodel.sql.sqltypes.AutoString(length=500), nullable=False),
        sa.Column("model", sqlmodel.sql.sqltypes.AutoString(length=300), nullable=False),
        sa.Column("files", sa.JSON(), nullable=False),
        sa.Column("sent", sqlmodel.sql.sqltypes.AutoString(length=20), nullable=False),
        sa.Column("sent_at", app.tables._base.UtcTime(timezone=True), nullable=True),
        sa.Column("looks", sa.Integer(), nullable=False),
        sa.Column("not_confirmed", sa.Boolean(), nullable=False),
        sa.Column("remote_id", sqlmodel.sql.sqltypes.AutoString(length=300), nullable=False),
        sa.Column("state", sqlmodel.sql.sqltypes.AutoString(length=100), nullable=False),
        sa.Column("phase", sqlmodel.sql.sqltypes.AutoString(length=20), nullable=False),
        sa.Column("tuned_model", sqlmodel.sql.sqltypes.AutoString(length=500), nullable=False),
        sa.Column("log_cursor", sqlmodel.sql.sqltypes.AutoString(length=500), nullable=False),
        sa.Column("metrics_cursor", sqlmodel.sql.sqltypes.AutoString(length=500), nullable=False),
        sa.Column("trained_tokens", sa.BigInteger(), nullable=True),
        sa.Column("cancel_sent_at", app.tables._base.UtcTime(timezone=True), nullable=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("rescued_at", app.tables._base.UtcTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["credential_id"], ["credential.id"], name=op.f("fk_remotejob_credential_id_credential")
        ),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_remotejob_run_id_run")),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_remotejob")),
    )
    with op.batch_alter_table("remotejob", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_remotejob_credential_id"), ["credential_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_remotejob_provider"), ["provider"], unique=False)
        batch_op.create_index(batch_op.f("ix_remotejob_remote_id"), ["remote_id"], unique=False)

    op.create_table(
        "reservation",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("member_id", sa.Integer(), nullable=False),
        sa.Column("experiment_id", sa.Integer(), nullable=False),
        sa.Column("provider", sqlmodel.sql.sqltypes.AutoString(length=40), nullable=False),
        sa.Column("reserved_microdollars", sa.BigInteger(), nullable=False),
        sa.Column("price_known", sa.Boolean(), nullable=False),
        sa.Column("spent_microdollars", sa.BigInteger(), nullable=False),
        sa.Column("created_at", app.tables._base.UtcTime(timezone=True), nullable=False),
        sa.Column("settled_at", app.tables._base.UtcTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["experiment_id"], ["experiment.id"], name=op.f("fk_reservation_experiment_id_experiment")
        ),
        sa.ForeignKeyConstraint(["member_id"], ["member.id"], name=op.f("fk_reservation_member_id_member")),
        sa.ForeignKeyConstraint(
            ["project_id"], ["project.id"], name=op.f("fk_reservation_project_id_project")
        ),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_reservation_run_id_run")),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_reservation")),
    )
    with op.batch_alter_table("reservation", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_reservation_experiment_id"), ["experiment_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_reservation_member_id"), ["member_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_reservation_project_id"), ["project_id"], unique=False)

    op.create_table(
        "reply",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("part", sqlmodel.sql.sqltypes.AutoString(length=20), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("state", sqlmodel.sql.sqltypes.AutoString(length=20), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("answer", sqlmodel.sql.sqltypes.AutoString(), nullable=True),
        sa.Column("p", sa.JSON(), nullable=True),
        sa.Column("logprob", sa.Float(), nullable=True),
        sa.Column("latency_ms", sa.Float(), nullable=True),
        sa.Column("input_tokens", sa.Integer(), nullable=True),
        sa.Column("output_tokens", sa.Integer(), nullable=True),
        sa.Column("error", sqlmodel.sql.sqltypes.AutoString(), nullable=True),
        sa.Column("batch_id", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["batch_id"], ["remotebatch.id"], name=op.f("fk_reply_batch_id_remotebatch")),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_reply_run_id_run")),
        sa.PrimaryKeyConstraint("run_id", "part", "number", name=op.f("pk_reply")),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("reply", schema=None) as batch_op:
        batch_op.create_index("ix_reply_waiting", ["run_id", "state"], unique=False)


def downgrade() -> None:
    for table in (
        "reply",
        "reservation",
        "remotejob",
        "remotebatch",
        "deployment",
        "budget",
        "storedoffer",
        "credential",
        "providersetting",
    ):
        op.drop_table(table)
