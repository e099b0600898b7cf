"""An index on the door's paid calls in the place of one on all of them"""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

PAID = sa.text("provider <> ''")


def upgrade() -> None:
    op.drop_index("ix_door_call_money", "door_call")
    op.create_index(
        "ix_door_call_paid",
        "door_call",
        ["status", "project_id", "created_at"],
        sqlite_where=PAID,
        postgresql_where=PAID,
    )


def downgrade() -> None:
    op.drop_index("ix_door_call_paid", "door_call")
    op.create_index("ix_door_call_money", "door_call", ["project_id", "created_at", "cost_microdollars"])
