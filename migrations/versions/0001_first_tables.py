"""First tables"""

import sqlalchemy as sa
import sqlmodel
from alembic import op

import app.tables._base

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "member",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sqlmodel.sql.sqltypes.AutoString(length=200), nullable=False),
        sa.Column("role", sqlmodel.sql.sqltypes.AutoString(length=20), nullable=False),
        sa.Column("created_at", app.tables._base.UtcTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_member")),
    )
    op.create_table(
        "project",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sqlmodel.sql.sqltypes.AutoString(length=200), nullable=False),
        sa.Column("created_at", app.tables._base.UtcTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_project")),
    )
    op.create_table(
        "dataset",
        sa.Column("owner", sqlmodel.sql.sqltypes.AutoString(), nullable=True),
        sa.Column("lease_until", app.tables._base.UtcTime(timezone=True), nullable=True),
        sa.Column("due_at", app.tables._base.UtcTime(timezone=True), nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("maker_id", sa.Integer(), nullable=False),
        sa.Column("created_at", app.tables._base.UtcTime(timezone=True), nullable=False),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sqlmodel.sql.sqltypes.AutoString(length=200), nullable=False),
        sa.Column("file_name", sqlmodel.sql.sqltypes.AutoString(length=300), nullable=False),
        sa.Column("sha256", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("state", sqlmodel.sql.sqltypes.AutoString(length=20), nullable=False),
        sa.Column("progress", sa.Float(), nullable=False),
        sa.Column("format", sqlmodel.sql.sqltypes.AutoString(length=30), nullable=False),
        sa.Column("row_format", sqlmodel.sql.sqltypes.AutoString(length=30), nullable=False),
        sa.Column("mapping", sa.JSON(), nullable=False),
        sa.Column("task", sqlmodel.sql.sqltypes.AutoString(length=20), nullable=False),
        sa.Column("task_detected", sqlmodel.sql.sqltypes.AutoString(length=20), nullable=False),
        sa.Column("labels", sa.JSON(), nullable=False),
        sa.Column("items", sa.Integer(), nullable=False),
        sa.Column("problems", sa.JSON(), nullable=False),
        sa.Column("problem_count", sa.Integer(), nullable=False),
        sa.Column("warnings", sa.JSON(), nullable=False),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.Column("source", sa.JSON(), nullable=False),
        sa.Column("origin", sqlmodel.sql.sqltypes.AutoString(length=2000), nullable=False),
        sa.ForeignKeyConstraint(["maker_id"], ["member.id"], name=op.f("fk_dataset_maker_id_member")),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name=op.f("fk_dataset_project_id_project")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dataset")),
    )
    with op.batch_alter_table("dataset", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_dataset_due_at"), ["due_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_dataset_project_id"), ["project_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_dataset_sha256"), ["sha256"], unique=False)
        batch_op.create_index(batch_op.f("ix_dataset_state"), ["state"], unique=False)

    op.create_table(
        "token",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("member_id", sa.Integer(), nullable=False),
        sa.Column("kind", sqlmodel.sql.sqltypes.AutoString(length=20), nullable=False),
        sa.Column("name", sqlmodel.sql.sqltypes.AutoString(length=200), nullable=False),
        sa.Column("digest", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("created_at", app.tables._base.UtcTime(timezone=True), nullable=False),
        sa.Column("expires_at", app.tables._base.UtcTime(timezone=True), nullable=True),
        sa.Column("ended_at", app.tables._base.UtcTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["member_id"], ["member.id"], name=op.f("fk_token_member_id_member")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_token")),
        sa.UniqueConstraint("digest", name=op.f("uq_token_digest")),
    )
    with op.batch_alter_table("token", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_token_member_id"), ["member_id"], unique=False)

    op.create_table(
        "item",
        sa.Column("dataset_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("line", sa.Integer(), nullable=False),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.Column("length", sa.Integer(), nullable=False),
        sa.Column("content_key", sa.BigInteger(), nullable=False),
        sa.Column("occurrence", sa.Integer(), nullable=False),
        sa.Column("same_as", sa.Integer(), nullable=True),
        sa.Column("label", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=True),
        sa.Column("answer_characters", sa.Integer(), nullable=False),
        sa.Column("tokens", sa.Integer(), nullable=False),
        sa.Column("file_part", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["dataset_id"], ["dataset.id"], name=op.f("fk_item_dataset_id_dataset")),
        sa.PrimaryKeyConstraint("dataset_id", "number", name=op.f("pk_item")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "split",
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("maker_id", sa.Integer(), nullable=False),
        sa.Column("created_at", app.tables._base.UtcTime(timezone=True), nullable=False),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("dataset_id", sa.Integer(), nullable=False),
        sa.Column("name", sqlmodel.sql.sqltypes.AutoString(length=100), nullable=False),
        sa.Column("kind", sqlmodel.sql.sqltypes.AutoString(length=20), nullable=False),
        sa.Column("parameters", sa.JSON(), nullable=False),
        sa.Column("parts", sa.LargeBinary(), nullable=False),
        sa.Column("sha256", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("counts", sa.JSON(), nullable=False),
        sa.Column("groups", sa.JSON(), nullable=False),
        sa.Column("group_of", sa.JSON(), nullable=False),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.Column("remarks", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["dataset_id"], ["dataset.id"], name=op.f("fk_split_dataset_id_dataset")),
        sa.ForeignKeyConstraint(["maker_id"], ["member.id"], name=op.f("fk_split_maker_id_member")),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name=op.f("fk_split_project_id_project")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_split")),
    )
    with op.batch_alter_table("split", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_split_dataset_id"), ["dataset_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_split_project_id"), ["project_id"], unique=False)

    op.create_table(
        "experiment",
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("maker_id", sa.Integer(), nullable=False),
        sa.Column("created_at", app.tables._base.UtcTime(timezone=True), nullable=False),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sqlmodel.sql.sqltypes.AutoString(length=200), nullable=False),
        sa.Column("dataset_id", sa.Integer(), nullable=False),
        sa.Column("split_id", sa.Integer(), nullable=False),
        sa.Column("seeds", sa.JSON(), nullable=False),
        sa.Column("grid", sa.JSON(), nullable=False),
        sa.Column("design", sa.JSON(), nullable=False),
        sa.Column("augment", sa.JSON(), nullable=False),
        sa.Column("choose_on", sqlmodel.sql.sqltypes.AutoString(length=20), nullable=False),
        sa.Column("unlocked_at", app.tables._base.UtcTime(timezone=True), nullable=True),
        sa.Column("unlocked_by", sa.Integer(), nullable=True),
        sa.Column("unlocked_runs", sa.Integer(), nullable=False),
        sa.Column("launch_key", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["dataset_id"], ["dataset.id"], name=op.f("fk_experiment_dataset_id_dataset")
        ),
        sa.ForeignKeyConstraint(["maker_id"], ["member.id"], name=op.f("fk_experiment_maker_id_member")),
        sa.ForeignKeyConstraint(
            ["project_id"], ["project.id"], name=op.f("fk_experiment_project_id_project")
        ),
        sa.ForeignKeyConstraint(["split_id"], ["split.id"], name=op.f("fk_experiment_split_id_split")),
        sa.ForeignKeyConstraint(
            ["unlocked_by"], ["member.id"], name=op.f("fk_experiment_unlocked_by_member")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_experiment")),
        sa.UniqueConstraint("launch_key", name=op.f("uq_experiment_launch_key")),
    )
    with op.batch_alter_table("experiment", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_experiment_dataset_id"), ["dataset_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_experiment_project_id"), ["project_id"], unique=False)

    op.create_table(
        "look",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("split_id", sa.Integer(), nullable=False),
        sa.Column("newest_experiment_id", sa.Integer(), nullable=False),
        sa.Column("member_id", sa.Integer(), nullable=False),
        sa.Column("at", app.tables._base.UtcTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["member_id"], ["member.id"], name=op.f("fk_look_member_id_member")),
        sa.ForeignKeyConstraint(
            ["newest_experiment_id"], ["experiment.id"], name=op.f("fk_look_newest_experiment_id_experiment")
        ),
        sa.ForeignKeyConstraint(["split_id"], ["split.id"], name=op.f("fk_look_split_id_split")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_look")),
        sa.UniqueConstraint(
            "split_id", "newest_experiment_id", name=op.f("uq_look_split_id_newest_experiment_id")
        ),
    )
    op.create_table(
        "run",
        sa.Column("owner", sqlmodel.sql.sqltypes.AutoString(), nullable=True),
        sa.Column("lease_until", app.tables._base.UtcTime(timezone=True), nullable=True),
        sa.Column("due_at", app.tables._base.UtcTime(timezone=True), nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("maker_id", sa.Integer(), nullable=False),
        sa.Column("created_at", app.tables._base.UtcTime(timezone=True), nullable=False),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("experiment_id", sa.Integer(), nullable=False),
        sa.Column("dataset_id", sa.Integer(), nullable=False),
        sa.Column("split_id", sa.Integer(), nullable=False),
        sa.Column("model", sqlmodel.sql.sqltypes.AutoString(length=300), nullable=False),
        sa.Column("seed", sa.Integer(), nullable=True),
        sa.Column("variant", sqlmodel.sql.sqltypes.AutoString(length=300), nullable=False),
        sa.Column("fold", sa.Integer(), nullable=True),
        sa.Column("pooled", sa.Boolean(), nullable=False),
        sa.Column("state", sqlmodel.sql.sqltypes.AutoString(length=20), nullable=False),
        sa.Column("progress", sa.Float(), nullable=False),
        sa.Column("progress_note", sqlmodel.sql.sqltypes.AutoString(length=300), nullable=False),
        sa.Column("seconds_left", sa.Float(), nullable=True),
        sa.Column("cancel_asked", sa.Boolean(), nullable=False),
        sa.Column("launch_key", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("ledger", sa.JSON(), nullable=False),
        sa.Column("snapshot", sa.JSON(), nullable=False),
        sa.Column("estimate", sa.JSON(), nullable=False),
        sa.Column("handle", sa.JSON(), nullable=False),
        sa.Column("metrics_read", sa.BigInteger(), nullable=False),
        sa.Column("furthest", sa.Float(), nullable=False),
        sa.Column("kills", sa.Integer(), nullable=False),
        sa.Column("error", sqlmodel.sql.sqltypes.AutoString(length=2000), nullable=False),
        sa.Column("hint", sqlmodel.sql.sqltypes.AutoString(length=2000), nullable=False),
        sa.Column("cost_microdollars", sa.BigInteger(), nullable=False),
        sa.Column("started_at", app.tables._base.UtcTime(timezone=True), nullable=True),
        sa.Column("ended_at", app.tables._base.UtcTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["dataset_id"], ["dataset.id"], name=op.f("fk_run_dataset_id_dataset")),
        sa.ForeignKeyConstraint(
            ["experiment_id"], ["experiment.id"], name=op.f("fk_run_experiment_id_experiment")
        ),
        sa.ForeignKeyConstraint(["maker_id"], ["member.id"], name=op.f("fk_run_maker_id_member")),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name=op.f("fk_run_project_id_project")),
        sa.ForeignKeyConstraint(["split_id"], ["split.id"], name=op.f("fk_run_split_id_split")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_run")),
        sa.UniqueConstraint("launch_key", name=op.f("uq_run_launch_key")),
    )
    with op.batch_alter_table("run", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_run_dataset_id"), ["dataset_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_run_due_at"), ["due_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_run_experiment_id"), ["experiment_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_run_model"), ["model"], unique=False)
        batch_op.create_index(batch_op.f("ix_run_project_id"), ["project_id"], unique=False)
        batch_op.create_index("ix_run_project_newest", ["project_id", "id"], unique=False)
        batch_op.create_index("ix_run_state_due", ["state", "due_at"], unique=False)

    op.create_table(
        "export",
        sa.Column("owner", sqlmodel.sql.sqltypes.AutoString(), nullable=True),
        sa.Column("lease_until", app.tables._base.UtcTime(timezone=True), nullable=True),
        sa.Column("due_at", app.tables._base.UtcTime(timezone=True), nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("maker_id", sa.Integer(), nullable=False),
        sa.Column("created_at", app.tables._base.UtcTime(timezone=True), nullable=False),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("kind", sqlmodel.sql.sqltypes.AutoString(length=40), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=True),
        sa.Column("experiment_id", sa.Integer(), nullable=True),
        sa.Column("dataset_id", sa.Integer(), nullable=True),
        sa.Column("parameters", sa.JSON(), nullable=False),
        sa.Column("state", sqlmodel.sql.sqltypes.AutoString(length=20), nullable=False),
        sa.Column("progress", sa.Float(), nullable=False),
        sa.Column("progress_note", sqlmodel.sql.sqltypes.AutoString(length=300), nullable=False),
        sa.Column("file_name", sqlmodel.sql.sqltypes.AutoString(length=300), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("result", sa.JSON(), nullable=False),
        sa.Column("error", sqlmodel.sql.sqltypes.AutoString(length=2000), nullable=False),
        sa.Column("hint", sqlmodel.sql.sqltypes.AutoString(length=2000), nullable=False),
        sa.ForeignKeyConstraint(["dataset_id"], ["dataset.id"], name=op.f("fk_export_dataset_id_dataset")),
        sa.ForeignKeyConstraint(
            ["experiment_id"], ["experiment.id"], name=op.f("fk_export_experiment_id_experiment")
        ),
        sa.ForeignKeyConstraint(["maker_id"], ["member.id"], name=op.f("fk_export_maker_id_member")),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name=op.f("fk_export_project_id_project")),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_export_run_id_run")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_export")),
    )
    with op.batch_alter_table("export", schema=None) as batch_op:
        for name in ("dataset_id", "due_at", "experiment_id", "project_id", "run_id", "state"):
            batch_op.create_index(batch_op.f(f"ix_export_{name}"), [name], unique=False)

    op.create_table(
        "evaluation",
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("maker_id", sa.Integer(), nullable=False),
        sa.Column("created_at", app.tables._base.UtcTime(timezone=True), nullable=False),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("part", sqlmodel.sql.sqltypes.AutoString(length=20), nullable=False),
        sa.Column("labels", sa.JSON(), nullable=False),
        sa.Column("decoding", sa.JSON(), nullable=False),
        sa.Column("matched_by", sqlmodel.sql.sqltypes.AutoString(length=500), nullable=False),
        sa.Column("items", sa.Integer(), nullable=False),
        sa.Column("latency_ms", sa.Float(), nullable=True),
        sa.Column("tokens", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["maker_id"], ["member.id"], name=op.f("fk_evaluation_maker_id_member")),
        sa.ForeignKeyConstraint(
            ["project_id"], ["project.id"], name=op.f("fk_evaluation_project_id_project")
        ),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_evaluation_run_id_run")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_evaluation")),
        sa.UniqueConstraint("run_id", "part", name=op.f("uq_evaluation_run_id_part")),
    )
    with op.batch_alter_table("evaluation", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_evaluation_project_id"), ["project_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_evaluation_run_id"), ["run_id"], unique=False)

    op.create_table(
        "runmetric",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("name", sqlmodel.sql.sqltypes.AutoString(length=40), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("value", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_runmetric_run_id_run")),
        sa.PrimaryKeyConstraint("run_id", "name", "step", name=op.f("pk_runmetric")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "slot",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_slot_run_id_run")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_slot")),
        sa.UniqueConstraint("run_id", name=op.f("uq_slot_run_id")),
    )
    op.create_table(
        "prediction",
        sa.Column("evaluation_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("answer", sqlmodel.sql.sqltypes.AutoString(), nullable=True),
        sa.Column("probabilities", sa.JSON(), nullable=True),
        sa.Column("logprob", sa.Float(), nullable=True),
        sa.Column("latency_ms", sa.Float(), nullable=True),
        sa.Column("tokens", sa.Integer(), nullable=True),
        sa.Column("error", sqlmodel.sql.sqltypes.AutoString(), nullable=True),
        sa.ForeignKeyConstraint(
            ["evaluation_id"], ["evaluation.id"], name=op.f("fk_prediction_evaluation_id_evaluation")
        ),
        sa.PrimaryKeyConstraint("evaluation_id", "number", name=op.f("pk_prediction")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "pairtest",
        sa.Column("owner", sqlmodel.sql.sqltypes.AutoString(), nullable=True),
        sa.Column("lease_until", app.tables._base.UtcTime(timezone=True), nullable=True),
        sa.Column("due_at", app.tables._base.UtcTime(timezone=True), nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("maker_id", sa.Integer(), nullable=False),
        sa.Column("created_at", app.tables._base.UtcTime(timezone=True), nullable=False),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("a", sqlmodel.sql.sqltypes.AutoString(length=300), nullable=False),
        sa.Column("b", sqlmodel.sql.sqltypes.AutoString(length=300), nullable=False),
        sa.Column("subset", sqlmodel.sql.sqltypes.AutoString(length=20), nullable=False),
        sa.Column("state", sqlmodel.sql.sqltypes.AutoString(length=20), nullable=False),
        sa.Column("tests", sa.JSON(), nullable=False),
        sa.Column("error", sqlmodel.sql.sqltypes.AutoString(length=2000), nullable=False),
        sa.Column("hint", sqlmodel.sql.sqltypes.AutoString(length=2000), nullable=False),
        sa.ForeignKeyConstraint(["maker_id"], ["member.id"], name=op.f("fk_pairtest_maker_id_member")),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name=op.f("fk_pairtest_project_id_project")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pairtest")),
        sa.UniqueConstraint("a", "b", "subset", name=op.f("uq_pairtest_a_b_subset")),
    )
    with op.batch_alter_table("pairtest", schema=None) as batch_op:
        for name in ("due_at", "project_id", "state"):
            batch_op.create_index(batch_op.f(f"ix_pairtest_{name}"), [name], unique=False)

    op.create_table(
        "scoring",
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("maker_id", sa.Integer(), nullable=False),
        sa.Column("created_at", app.tables._base.UtcTime(timezone=True), nullable=False),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("evaluation_id", sa.Integer(), nullable=False),
        sa.Column("rules", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["evaluation_id"], ["evaluation.id"], name=op.f("fk_scoring_evaluation_id_evaluation")
        ),
        sa.ForeignKeyConstraint(["maker_id"], ["member.id"], name=op.f("fk_scoring_maker_id_member")),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name=op.f("fk_scoring_project_id_project")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_scoring")),
    )
    with op.batch_alter_table("scoring", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_scoring_evaluation_id"), ["evaluation_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_scoring_project_id"), ["project_id"], unique=False)

    op.create_table(
        "outcomes",
        sa.Column("scoring_id", sa.Integer(), nullable=False),
        sa.Column("numbers", sa.LargeBinary(), nullable=False),
        sa.Column("flags", sa.LargeBinary(), nullable=False),
        sa.Column("answers", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["scoring_id"], ["scoring.id"], name=op.f("fk_outcomes_scoring_id_scoring")),
        sa.PrimaryKeyConstraint("scoring_id", name=op.f("pk_outcomes")),
    )
    op.create_table(
        "reading",
        sa.Column("scoring_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("answer_read", sqlmodel.sql.sqltypes.AutoString(), nullable=True),
        sa.Column("correct", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["scoring_id"], ["scoring.id"], name=op.f("fk_reading_scoring_id_scoring")),
        sa.PrimaryKeyConstraint("scoring_id", "number", name=op.f("pk_reading")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "score",
        sa.Column("scoring_id", sa.Integer(), nullable=False),
        sa.Column("name", sqlmodel.sql.sqltypes.AutoString(length=40), nullable=False),
        sa.Column("subset", sqlmodel.sql.sqltypes.AutoString(length=20), nullable=False),
        sa.Column("value", sa.Float(), nullable=True),
        sa.Column("low", sa.Float(), nullable=True),
        sa.Column("high", sa.Float(), nullable=True),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["scoring_id"], ["scoring.id"], name=op.f("fk_score_scoring_id_scoring")),
        sa.PrimaryKeyConstraint("scoring_id", "name", "subset", name=op.f("pk_score")),
    )
    with op.batch_alter_table("score", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_score_name"), ["name"], unique=False)
        batch_op.create_index(batch_op.f("ix_score_value"), ["value"], unique=False)

    op.create_table(
        "endpoint",
        sa.Column("owner", sqlmodel.sql.sqltypes.AutoString(), nullable=True),
        sa.Column("lease_until", app.tables._base.UtcTime(timezone=True), nullable=True),
        sa.Column("due_at", app.tables._base.UtcTime(timezone=True), nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("maker_id", sa.Integer(), nullable=False),
        sa.Column("created_at", app.tables._base.UtcTime(timezone=True), nullable=False),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sqlmodel.sql.sqltypes.AutoString(length=100), nullable=False),
        sa.Column("base_url", sqlmodel.sql.sqltypes.AutoString(length=500), nullable=False),
        sa.Column("model", sqlmodel.sql.sqltypes.AutoString(length=200), nullable=False),
        sa.Column("sealed_key", sqlmodel.sql.sqltypes.AutoString(length=2000), nullable=False),
        sa.Column("input_microdollars", sa.BigInteger(), nullable=True),
        sa.Column("output_microdollars", sa.BigInteger(), nullable=True),
        sa.Column("state", sqlmodel.sql.sqltypes.AutoString(length=20), nullable=False),
        sa.Column("note", sqlmodel.sql.sqltypes.AutoString(length=2000), nullable=False),
        sa.Column("checked_at", app.tables._base.UtcTime(timezone=True), nullable=True),
        sa.Column("removed_at", app.tables._base.UtcTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["maker_id"], ["member.id"], name=op.f("fk_endpoint_maker_id_member")),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name=op.f("fk_endpoint_project_id_project")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_endpoint")),
    )
    with op.batch_alter_table("endpoint", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_endpoint_due_at"), ["due_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_endpoint_project_id"), ["project_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_endpoint_state"), ["state"], unique=False)

    op.create_table(
        "handlabel",
        sa.Column("sheet", sqlmodel.sql.sqltypes.AutoString(length=60), nullable=False),
        sa.Column("member_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("value", sa.Float(), nullable=True),
        sa.Column("created_at", app.tables._base.UtcTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["member_id"], ["member.id"], name=op.f("fk_handlabel_member_id_member")),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name=op.f("fk_handlabel_project_id_project")),
        sa.PrimaryKeyConstraint("sheet", "member_id", "number", name=op.f("pk_handlabel")),
    )
    with op.batch_alter_table("handlabel", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_handlabel_project_id"), ["project_id"], unique=False)

    op.create_table(
        "judging",
        sa.Column("owner", sqlmodel.sql.sqltypes.AutoString(), nullable=True),
        sa.Column("lease_until", app.tables._base.UtcTime(timezone=True), nullable=True),
        sa.Column("due_at", app.tables._base.UtcTime(timezone=True), nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("maker_id", sa.Integer(), nullable=False),
        sa.Column("created_at", app.tables._base.UtcTime(timezone=True), nullable=False),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("evaluation_id", sa.Integer(), nullable=False),
        sa.Column("other_run_id", sa.Integer(), nullable=True),
        sa.Column("other_evaluation_id", sa.Integer(), nullable=True),
        sa.Column("endpoint_id", sa.Integer(), nullable=False),
        sa.Column("base_url", sqlmodel.sql.sqltypes.AutoString(length=500), nullable=False),
        sa.Column("model", sqlmodel.sql.sqltypes.AutoString(length=200), nullable=False),
        sa.Column("input_microdollars", sa.BigInteger(), nullable=True),
        sa.Column("output_microdollars", sa.BigInteger(), nullable=True),
        sa.Column("scale", sqlmodel.sql.sqltypes.AutoString(length=20), nullable=False),
        sa.Column("prompt", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("prompt_sha256", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("decoding", sa.JSON(), nullable=False),
        sa.Column("items", sa.Integer(), nullable=False),
        sa.Column("of_items", sa.Integer(), nullable=False),
        sa.Column("seed", sa.Integer(), nullable=True),
        sa.Column("cap_microdollars", sa.BigInteger(), nullable=True),
        sa.Column("state", sqlmodel.sql.sqltypes.AutoString(length=20), nullable=False),
        sa.Column("cancel_asked", sa.Boolean(), nullable=False),
        sa.Column("result", sa.JSON(), nullable=False),
        sa.Column("error", sqlmodel.sql.sqltypes.AutoString(length=2000), nullable=False),
        sa.Column("hint", sqlmodel.sql.sqltypes.AutoString(length=2000), nullable=False),
        sa.Column("ended_at", app.tables._base.UtcTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["endpoint_id"], ["endpoint.id"], name=op.f("fk_judging_endpoint_id_endpoint")
        ),
        sa.ForeignKeyConstraint(
            ["evaluation_id"], ["evaluation.id"], name=op.f("fk_judging_evaluation_id_evaluation")
        ),
        sa.ForeignKeyConstraint(["maker_id"], ["member.id"], name=op.f("fk_judging_maker_id_member")),
        sa.ForeignKeyConstraint(
            ["other_evaluation_id"], ["evaluation.id"], name=op.f("fk_judging_other_evaluation_id_evaluation")
        ),
        sa.ForeignKeyConstraint(["other_run_id"], ["run.id"], name=op.f("fk_judging_other_run_id_run")),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name=op.f("fk_judging_project_id_project")),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_judging_run_id_run")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_judging")),
    )
    with op.batch_alter_table("judging", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_judging_due_at"), ["due_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_judging_other_run_id"), ["other_run_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_judging_project_id"), ["project_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_judging_run_id"), ["run_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_judging_state"), ["state"], unique=False)

    op.create_table(
        "judgemark",
        sa.Column("judging_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("side", sa.Integer(), nullable=False),
        sa.Column("state", sqlmodel.sql.sqltypes.AutoString(length=20), nullable=False),
        sa.Column("value", sa.Float(), nullable=True),
        sa.Column("reply", sqlmodel.sql.sqltypes.AutoString(), nullable=True),
        sa.Column("error", sqlmodel.sql.sqltypes.AutoString(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("input_tokens", sa.Integer(), nullable=False),
        sa.Column("output_tokens", sa.Integer(), nullable=False),
        sa.Column("latency_ms", sa.Float(), nullable=True),
        sa.ForeignKeyConstraint(["judging_id"], ["judging.id"], name=op.f("fk_judgemark_judging_id_judging")),
        sa.PrimaryKeyConstraint("judging_id", "number", "side", name=op.f("pk_judgemark")),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("judgemark", schema=None) as batch_op:
        batch_op.create_index("ix_judgemark_waiting", ["judging_id", "state"], unique=False)


def downgrade() -> None:
    op.drop_table("pairtest")
    with op.batch_alter_table("judgemark", schema=None) as batch_op:
        batch_op.drop_index("ix_judgemark_waiting")

    op.drop_table("judgemark")
    with op.batch_alter_table("judging", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_judging_state"))
        batch_op.drop_index(batch_op.f("ix_judging_run_id"))
        batch_op.drop_index(batch_op.f("ix_judging_project_id"))
        batch_op.drop_index(batch_op.f("ix_judging_other_run_id"))
        batch_op.drop_index(batch_op.f("ix_judging_due_at"))

    op.drop_table("judging")
    with op.batch_alter_table("handlabel", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_handlabel_project_id"))

    op.drop_table("handlabel")
    with op.batch_alter_table("endpoint", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_endpoint_state"))
        batch_op.drop_index(batch_op.f("ix_endpoint_project_id"))
        batch_op.drop_index(batch_op.f("ix_endpoint_due_at"))

    op.drop_table("endpoint")
    op.drop_table("export")
    with op.batch_alter_table("score", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_score_value"))
        batch_op.drop_index(batch_op.f("ix_score_name"))

    op.drop_table("score")
    op.drop_table("reading")
    op.drop_table("outcomes")
    with op.batch_alter_table("scoring", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_scoring_project_id"))
        batch_op.drop_index(batch_op.f("ix_scoring_evaluation_id"))

    op.drop_table("scoring")
    op.drop_table("prediction")
    op.drop_table("slot")
    op.drop_table("runmetric")
    with op.batch_alter_table("evaluation", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_evaluation_run_id"))
        batch_op.drop_index(batch_op.f("ix_evaluation_project_id"))

    op.drop_table("evaluation")
    with op.batch_alter_table("run", schema=None) as batch_op:
        batch_op.drop_index("ix_run_state_due")
        batch_op.drop_index("ix_run_project_newest")
        batch_op.drop_index(batch_op.f("ix_run_project_id"))
        batch_op.drop_index(batch_op.f("ix_run_model"))
        batch_op.drop_index(batch_op.f("ix_run_experiment_id"))
        batch_op.drop_index(batch_op.f("ix_run_due_at"))
        batch_op.drop_index(batch_op.f("ix_run_dataset_id"))

    op.drop_table("run")
    op.drop_table("look")
    with op.batch_alter_table("experiment", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_experiment_project_id"))
        batch_op.drop_index(batch_op.f("ix_experiment_dataset_id"))

    op.drop_table("experiment")
    with op.batch_alter_table("split", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_split_project_id"))
        batch_op.drop_index(batch_op.f("ix_split_dataset_id"))

    op.drop_table("split")
    op.drop_table("item")
    with op.batch_alter_table("token", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_token_member_id"))

    op.drop_table("token")
    with op.batch_alter_table("dataset", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_dataset_state"))
        batch_op.drop_index(batch_op.f("ix_dataset_sha256"))
        batch_op.drop_index(batch_op.f("ix_dataset_project_id"))
        batch_op.drop_index(batch_op.f("ix_dataset_due_at"))

    op.drop_table("dataset")
    op.drop_table("project")
    op.drop_table("member")
