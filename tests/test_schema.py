"""The migrations make exactly the tables that the code declares, on both databases."""

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlmodel import Session, SQLModel

import app.tables  # noqa: F401  registers all tables


def test_migrated_database_equals_the_tables(session: Session) -> None:
    context = MigrationContext.configure(
        session.connection(), opts={"compare_type": True, "render_as_batch": True}
    )
    assert compare_metadata(context, SQLModel.metadata) == []
