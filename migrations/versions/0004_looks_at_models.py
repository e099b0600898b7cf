"""Keys of the environment, and what was asked about single models"""

import sqlalchemy as sa
import sqlmodel
from alembic import op

import app.tables._base

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

TEXT = sqlmodel.sql.sqltypes.AutoString
TIME = app.tables._base.UtcTime(timezone=True)


def upgrade() -> None:
    with op.batch_alter_table("credential", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("from_environment", sa.Boolean(), nullable=False, server_default=sa.false())
        )
    with op.batch_alter_table("storedoffer", schema=None) as batch_op:
        batch_op.add_column(sa.Column("listed", sa.Boolean(), nullable=False, server_default=sa.true()))
        batch_op.add_column(sa.Column("note", TEXT(length=1000), nullable=False, server_default=""))
        for name in ("asked_at", "answered_at"):
            batch_op.add_column(sa.Column(name, TIME, nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("storedoffer", schema=None) as batch_op:
        for name in ("listed", "note", "asked_at", "answered_at"):
            batch_op.drop_column(name)
    with op.batch_alter_table("credential", schema=None) as batch_op:
        batch_op.drop_column("from_environment")
