"""Files whose home is a bucket"""

import sqlalchemy as sa
import sqlmodel
from alembic import op

import app.tables._base

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

TEXT = sqlmodel.sql.sqltypes.AutoString
TIME = app.tables._base.UtcTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "storedfile",
        sa.Column("owner", TEXT(), nullable=True),
        sa.Column("lease_until", TIME, nullable=True),
        sa.Column("due_at", TIME, nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("key", TEXT(length=700), nullable=False),
        sa.Column("state", TEXT(length=20), nullable=False),
        sa.Column("machine", TEXT(length=200), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("modified_ns", sa.BigInteger(), nullable=False),
        sa.Column("sha256", TEXT(length=64), nullable=False),
        sa.Column("upload_id", TEXT(length=1000), nullable=False),
        sa.Column("error", TEXT(length=2000), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_storedfile"),
        sa.UniqueConstraint("key", name="uq_storedfile_key"),
    )
    op.create_index("ix_storedfile_due_at", "storedfile", ["due_at"])
    op.create_index("ix_storedfile_state", "storedfile", ["state"])


def downgrade() -> None:
    op.drop_table("storedfile")
