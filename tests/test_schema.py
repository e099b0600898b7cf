"""The migrations make exactly the tables that the code declares, on both databases."""

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text
from sqlmodel import Session, SQLModel

from app.tables import Project


def test_migrated_database_equals_the_tables(session: Session) -> None:
    context = MigrationContext.configure(
        session.connection(), opts={"compare_type": True, "render_as_batch": True}
    )
    assert compare_metadata(context, SQLModel.metadata) == []


@pytest.mark.parametrize("time", ["first", "second"])
def test_each_test_begins_without_rows_and_with_ids_from_1(session: Session, time: str) -> None:
    names = [table.name for table in SQLModel.metadata.sorted_tables]
    filled = [name for name in names if session.execute(text(f"SELECT 1 FROM {name} LIMIT 1")).first()]
    assert filled == []
    project = Project(name=time)
    session.add(project)
    session.commit()
    assert project.id == 1
