"""Alembic's entry: run the migrations on the connection that `schema.database` hands in.

The `alembic` command itself, which writes new migrations, gets the database of the settings.
"""

from typing import Any, Literal

from alembic import context

from schema.database import connect
from schema.settings import read_settings
from schema.tables import Base, UtcDateTime


def render_item(_kind: str, item: object, _context: Any) -> str | Literal[False]:
    """Write our own types as what they are in the database: a migration outlives our classes."""
    return "sa.DateTime(timezone=True)" if isinstance(item, UtcDateTime) else False


connection = context.config.attributes.get("connection")
if connection is None:
    connection = connect(read_settings()).engine.connect()
context.configure(
    connection=connection,
    target_metadata=Base.metadata,
    render_item=render_item,
    render_as_batch=connection.dialect.name == "sqlite",
)
with context.begin_transaction():
    context.run_migrations()
