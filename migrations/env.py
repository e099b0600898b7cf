"""Alembic's environment: online only, on the connection that app/migrate.py hands over."""

from alembic import context
from sqlmodel import SQLModel

import app.tables  # noqa: F401  registers every table

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=SQLModel.metadata,
    render_as_batch=connection.dialect.name == "sqlite",
    transaction_per_migration=True,
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
