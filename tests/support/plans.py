"""How a database would answer a statement: which tables it would read from end to end."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import sqlalchemy as sa

from schema.database import Database

# Tables that have more rows with every study.
GROWING: Final = frozenset({
    "association", "study", "series", "instance", "job", "finding", "result_object", "delivery",
    "commitment", "announcement", "verdict",
})  # fmt: skip
Statement = tuple[str, Any]


@contextmanager
def noting(database: Database) -> Iterator[list[Statement]]:
    """Note each statement that reads or changes a table, with its values."""
    noted: list[Statement] = []

    def note(_c: object, _k: object, statement: str, values: Any, _x: object, many: bool) -> None:
        if statement.lstrip().startswith(("SELECT", "UPDATE", "DELETE")):
            noted.append((statement, values[0] if many else values))

    sa.event.listen(database.engine, "before_cursor_execute", note)
    try:
        yield noted
    finally:
        sa.event.remove(database.engine, "before_cursor_execute", note)


def walked(connection: sa.Connection, statement: str, values: Any) -> list[str]:
    """Name what a statement would read from end to end and not by an index."""
    if connection.dialect.name == "sqlite":
        return _walked_by_sqlite(connection, statement, values)
    for way in (
        "seqscan",
        "hashjoin",
        "mergejoin",
        "material",
    ):  # the best ones while tables are small
        connection.exec_driver_sql(f"SET LOCAL enable_{way} = off")
    answer = connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", values).scalar_one()
    plan = answer if isinstance(answer, list) else json.loads(answer)
    return list(_walked_by_postgresql(plan[0]["Plan"], is_limited=False))


def _walked_by_sqlite(connection: sa.Connection, statement: str, values: Any) -> list[str]:
    rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values).all()
    steps = [str(row[-1]) for row in rows]
    aliases = {alias: table for table in GROWING for alias in (table, *_aliases(statement, table))}
    return [step for step in steps if _walks(step, aliases, "LIMIT" in statement)]


def _aliases(statement: str, table: str) -> list[str]:
    words = statement.split()
    return [
        words[index + 2].strip("(),")
        for index, word in enumerate(words[:-2])
        if word == table and words[index + 1] == "AS"
    ]


def _walks(step: str, aliases: dict[str, str], is_limited: bool) -> bool:
    words = step.split()
    if words[0] == "SEARCH":
        return words[1] in aliases and words[-1] in WIDE
    if words[0] != "SCAN" or words[1] not in aliases:
        return False
    ordered = "USING INDEX" in step or "USING COVERING INDEX" in step
    index = words[-1]
    return not (ordered and (is_limited or index in PARTIAL))


def _walked_by_postgresql(node: dict[str, Any], *, is_limited: bool) -> Iterator[str]:
    is_limited = is_limited or node["Node Type"] == "Limit"
    name = node.get("Relation Name") or node.get("Index Name", "")
    if "Scan" in node["Node Type"] and _reads_a_table(node):
        by_index = "Index Cond" in node or node.get("Index Name") in PARTIAL
        ordered = is_limited and "Index" in node["Node Type"]
        if not (by_index or ordered):
            yield f"{node['Node Type']} of {name}"
    for child in node.get("Plans", ()):
        # A sort or a sum reads all before the first row that the limit counts.
        ends = node["Node Type"] in ("Sort", "Aggregate", "Hash", "Incremental Sort")
        yield from _walked_by_postgresql(child, is_limited=is_limited and not ends)


def _reads_a_table(node: dict[str, Any]) -> bool:
    if node["Node Type"] == "Bitmap Heap Scan":  # its index is the node below
        return False
    return node.get("Relation Name") in GROWING or node["Node Type"] == "Bitmap Index Scan"


# Searches for what most rows have in common; a study's state is looked for where few have it.
WIDE: Final = frozenset({"(destination=?)", "(outcome=?)"})
# Indexes that hold a few rows of a table and may be read from end to end.
PARTIAL: Final = frozenset({
    "ix_study_critical_unseen", "ix_study_files_kept", "ix_study_unstated", "ix_association_open",
    "ix_commitment_due_at", "ix_study_identity_alert",
})  # fmt: skip
