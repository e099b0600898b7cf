"""What passes the OpenAI-compatible door"""

import sqlalchemy as sa
import sqlmodel
from alembic import op

import app.tables._base

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

TEXT = sqlmodel.sql.sqltypes.AutoString
TIME = app.tables._base.UtcTime(timezone=True)


def upgrade() -> None:
    _model_aliases()
    _asked_questions()
    _door_files()
    _door_batches()
    _door_calls()
    _door_jobs()
    op.add_column(
        "project", sa.Column("records_answers", sa.Boolean(), nullable=False, server_default=sa.false())
    )

    op.add_column("token", sa.Column("budget_microdollars", sa.BigInteger(), nullable=True))


def _model_aliases() -> None:
    op.create_table(
        "model_alias",
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("maker_id", sa.Integer(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", TEXT(length=300), nullable=False),
        sa.Column("model", TEXT(length=300), nullable=False),
        sa.Column("note", TEXT(length=500), nullable=False),
        sa.ForeignKeyConstraint(["maker_id"], ["member.id"], name="fk_model_alias_maker_id_member"),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name="fk_model_alias_project_id_project"),
        sa.PrimaryKeyConstraint("id", name="pk_model_alias"),
        sa.UniqueConstraint("project_id", "name", name="uq_model_alias_project_id_name"),
    )
    op.create_index("ix_model_alias_project_id", "model_alias", ["project_id"])


def _asked_questions() -> None:
    op.create_table(
        "asked_question",
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("maker_id", sa.Integer(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("public_id", TEXT(length=40), nullable=False),
        sa.Column("messages", sa.JSON(), nullable=False),
        sa.Column("dataset_id", sa.Integer(), nullable=True),
        sa.Column("item_number", sa.Integer(), nullable=True),
        sa.Column("decoding", sa.JSON(), nullable=False),
        sa.Column("answers", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["dataset_id"], ["dataset.id"], name="fk_asked_question_dataset_id_dataset"),
        sa.ForeignKeyConstraint(["maker_id"], ["member.id"], name="fk_asked_question_maker_id_member"),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name="fk_asked_question_project_id_project"),
        sa.PrimaryKeyConstraint("id", name="pk_asked_question"),
        sa.UniqueConstraint("public_id", name="uq_asked_question_public_id"),
    )
    op.create_index("ix_asked_question_project_id", "asked_question", ["project_id"])


def _door_files() -> None:
    op.create_table(
        "door_file",
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("maker_id", sa.Integer(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("public_id", TEXT(length=40), nullable=False),
        sa.Column("purpose", TEXT(length=40), nullable=False),
        sa.Column("name", TEXT(length=255), nullable=False),
        sa.Column("path", TEXT(length=500), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", TEXT(length=64), nullable=False),
        sa.Column("dataset_id", sa.Integer(), nullable=True),
        sa.Column("removed_at", TIME, nullable=True),
        sa.ForeignKeyConstraint(["dataset_id"], ["dataset.id"], name="fk_door_file_dataset_id_dataset"),
        sa.ForeignKeyConstraint(["maker_id"], ["member.id"], name="fk_door_file_maker_id_member"),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name="fk_door_file_project_id_project"),
        sa.PrimaryKeyConstraint("id", name="pk_door_file"),
        sa.UniqueConstraint("public_id", name="uq_door_file_public_id"),
    )
    op.create_index("ix_door_file_project_id", "door_file", ["project_id"])


def _door_batches() -> None:
    op.create_table(
        "door_batch",
        sa.Column("owner", TEXT(), nullable=True),
        sa.Column("lease_until", TIME, nullable=True),
        sa.Column("due_at", TIME, nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("maker_id", sa.Integer(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("public_id", TEXT(length=40), nullable=False),
        sa.Column("token_id", sa.Integer(), nullable=True),
        sa.Column("input_file_id", sa.Integer(), nullable=False),
        sa.Column("output_file_id", sa.Integer(), nullable=True),
        sa.Column("error_file_id", sa.Integer(), nullable=True),
        sa.Column("endpoint", TEXT(length=100), nullable=False),
        sa.Column("model", TEXT(length=300), nullable=False),
        sa.Column("state", TEXT(length=20), nullable=False),
        sa.Column("labels", sa.JSON(), nullable=False),
        sa.Column("errors", sa.JSON(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("completed", sa.Integer(), nullable=False),
        sa.Column("failed", sa.Integer(), nullable=False),
        sa.Column("input_tokens", sa.BigInteger(), nullable=False),
        sa.Column("output_tokens", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", TIME, nullable=False),
        sa.Column("started_at", TIME, nullable=True),
        sa.Column("cancel_asked_at", TIME, nullable=True),
        sa.Column("ended_at", TIME, nullable=True),
        sa.ForeignKeyConstraint(
            ["error_file_id"], ["door_file.id"], name="fk_door_batch_error_file_id_door_file"
        ),
        sa.ForeignKeyConstraint(
            ["input_file_id"], ["door_file.id"], name="fk_door_batch_input_file_id_door_file"
        ),
        sa.ForeignKeyConstraint(["maker_id"], ["member.id"], name="fk_door_batch_maker_id_member"),
        sa.ForeignKeyConstraint(
            ["output_file_id"], ["door_file.id"], name="fk_door_batch_output_file_id_door_file"
        ),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name="fk_door_batch_project_id_project"),
        sa.ForeignKeyConstraint(["token_id"], ["token.id"], name="fk_door_batch_token_id_token"),
        sa.PrimaryKeyConstraint("id", name="pk_door_batch"),
        sa.UniqueConstraint("public_id", name="uq_door_batch_public_id"),
    )
    op.create_index("ix_door_batch_due_at", "door_batch", ["due_at"])
    op.create_index("ix_door_batch_project_id", "door_batch", ["project_id"])
    op.create_index("ix_door_batch_state", "door_batch", ["state"])


def _door_calls() -> None:
    op.create_table(
        "door_call",
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("maker_id", sa.Integer(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("public_id", TEXT(length=40), nullable=False),
        sa.Column("token_id", sa.Integer(), nullable=True),
        sa.Column("batch_id", sa.Integer(), nullable=True),
        sa.Column("asked_model", TEXT(length=300), nullable=False),
        sa.Column("model", TEXT(length=300), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=True),
        sa.Column("provider", TEXT(length=40), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("finish", TEXT(length=40), nullable=False),
        sa.Column("error", TEXT(length=2000), nullable=False),
        sa.Column("input_tokens", sa.Integer(), nullable=True),
        sa.Column("output_tokens", sa.Integer(), nullable=True),
        sa.Column("latency_ms", sa.Float(), nullable=True),
        sa.Column("reserved_microdollars", sa.BigInteger(), nullable=False),
        sa.Column("cost_microdollars", sa.BigInteger(), nullable=False),
        sa.Column("request", sa.JSON(), nullable=True),
        sa.Column("response", sa.JSON(), nullable=True),
        sa.Column("corrected", sa.JSON(), nullable=True),
        sa.Column("corrected_by", sa.Integer(), nullable=True),
        sa.Column("mark", TEXT(length=10), nullable=False),
        sa.Column("labels", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["batch_id"], ["door_batch.id"], name="fk_door_call_batch_id_door_batch"),
        sa.ForeignKeyConstraint(["corrected_by"], ["member.id"], name="fk_door_call_corrected_by_member"),
        sa.ForeignKeyConstraint(["maker_id"], ["member.id"], name="fk_door_call_maker_id_member"),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name="fk_door_call_project_id_project"),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name="fk_door_call_run_id_run"),
        sa.ForeignKeyConstraint(["token_id"], ["token.id"], name="fk_door_call_token_id_token"),
        sa.PrimaryKeyConstraint("id", name="pk_door_call"),
        sa.UniqueConstraint("public_id", name="uq_door_call_public_id"),
    )
    op.create_index("ix_door_call_batch_id", "door_call", ["batch_id"])
    op.create_index("ix_door_call_money", "door_call", ["project_id", "created_at", "cost_microdollars"])
    op.create_index("ix_door_call_project_id", "door_call", ["project_id"])
    op.create_index("ix_door_call_project_newest", "door_call", ["project_id", "id"])
    op.create_index("ix_door_call_run_id", "door_call", ["run_id"])
    op.create_index("ix_door_call_token_id", "door_call", ["token_id"])


def _door_jobs() -> None:
    op.create_table(
        "door_job",
        sa.Column("owner", TEXT(), nullable=True),
        sa.Column("lease_until", TIME, nullable=True),
        sa.Column("due_at", TIME, nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("maker_id", sa.Integer(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("public_id", TEXT(length=40), nullable=False),
        sa.Column("training_file_id", sa.Integer(), nullable=False),
        sa.Column("validation_file_id", sa.Integer(), nullable=True),
        sa.Column("dataset_id", sa.Integer(), nullable=True),
        sa.Column("experiment_id", sa.Integer(), nullable=True),
        sa.Column("run_id", sa.Integer(), nullable=True),
        sa.Column("model", TEXT(length=300), nullable=False),
        sa.Column("suffix", TEXT(length=64), nullable=False),
        sa.Column("seed", sa.Integer(), nullable=False),
        sa.Column("method", sa.JSON(), nullable=False),
        sa.Column("labels", sa.JSON(), nullable=False),
        sa.Column("error", TEXT(length=2000), nullable=False),
        sa.Column("cancel_asked", sa.Boolean(), nullable=False),
        sa.Column("ended_at", TIME, nullable=True),
        sa.ForeignKeyConstraint(["dataset_id"], ["dataset.id"], name="fk_door_job_dataset_id_dataset"),
        sa.ForeignKeyConstraint(
            ["experiment_id"], ["experiment.id"], name="fk_door_job_experiment_id_experiment"
        ),
        sa.ForeignKeyConstraint(["maker_id"], ["member.id"], name="fk_door_job_maker_id_member"),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name="fk_door_job_project_id_project"),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name="fk_door_job_run_id_run"),
        sa.ForeignKeyConstraint(
            ["training_file_id"], ["door_file.id"], name="fk_door_job_training_file_id_door_file"
        ),
        sa.ForeignKeyConstraint(
            ["validation_file_id"], ["door_file.id"], name="fk_door_job_validation_file_id_door_file"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_door_job"),
        sa.UniqueConstraint("public_id", name="uq_door_job_public_id"),
        sa.UniqueConstraint("run_id", name="uq_door_job_run_id"),
    )
    op.create_index("ix_door_job_due_at", "door_job", ["due_at"])
    op.create_index("ix_door_job_project_id", "door_job", ["project_id"])


def downgrade() -> None:
    op.drop_column("token", "budget_microdollars")
    op.drop_column("project", "records_answers")
    op.drop_table("door_job")
    op.drop_table("door_call")
    op.drop_table("door_batch")
    op.drop_table("door_file")
    op.drop_table("asked_question")
    op.drop_table("model_alias")
