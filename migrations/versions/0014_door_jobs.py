"""What tuning jobs and batches at the door need beside: states, keys of the caller, ends of files"""

import sqlalchemy as sa
import sqlmodel
from alembic import op

import app.tables._base

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

TEXT = sqlmodel.sql.sqltypes.AutoString
TIME = app.tables._base.UtcTime(timezone=True)


def upgrade() -> None:
    op.add_column("door_file", sa.Column("expires_at", TIME, nullable=True))
    with op.batch_alter_table("door_job") as job:
        job.add_column(sa.Column("state", TEXT(length=20), nullable=False, server_default="validating_files"))
        job.add_column(sa.Column("token_id", sa.Integer(), nullable=True))
        job.add_column(sa.Column("asked_key", TEXT(length=64), nullable=True))
        job.add_column(sa.Column("error_param", TEXT(length=60), nullable=False, server_default=""))
        job.add_column(sa.Column("remarks", sa.JSON(), nullable=False, server_default="[]"))
        job.create_foreign_key("fk_door_job_token_id_token", "token", ["token_id"], ["id"])
    op.create_index("ix_door_job_state", "door_job", ["state"])
    op.create_index("ix_door_job_project_asked", "door_job", ["project_id", "asked_key"], unique=True)
    op.add_column("door_batch", sa.Column("asked_key", TEXT(length=64), nullable=True))
    op.add_column("door_batch", sa.Column("output_seconds", sa.Integer(), nullable=True))
    op.create_index("ix_door_batch_project_asked", "door_batch", ["project_id", "asked_key"], unique=True)


def downgrade() -> None:
    op.drop_index("ix_door_batch_project_asked", "door_batch")
    op.drop_column("door_batch", "output_seconds")
    op.drop_column("door_batch", "asked_key")
    op.drop_index("ix_door_job_project_asked", "door_job")
    op.drop_index("ix_door_job_state", "door_job")
    with op.batch_alter_table("door_job") as job:
        for column in ("remarks", "error_param", "asked_key", "token_id", "state"):
            job.drop_column(column)
    op.drop_column("door_file", "expires_at")
