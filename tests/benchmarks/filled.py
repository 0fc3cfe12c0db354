"""Fill a database with studies as a hospital leaves them, by the database's own hands.

`python -m tests.benchmarks.filled HOME --studies 200000 [--database URL]`

Study 1 is the newest. The first hundred are under way in every mix of states, however many
come behind them; the others ended, five hundred a day, and everything of them is still there: 35
instances, findings, objects, deliveries, a commitment. SQLite is left without statistics, as it is
in use; PostgreSQL has those that its autovacuum keeps.
"""

import argparse
import time
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from schema.database import Database, connect, upgrade
from schema.settings import Settings
from schema.tables import Base

CHUNK: Final = 10_000  # studies in one transaction
INSTANCES: Final = 35  # of a study: 32 of the head, 3 of a scout or a bone series
HEAD: Final = 32
RECEIVING, READY, RUNNING, UNDER_WAY = 20, 60, 64, 100  # study 1 to 20, to 60, to 64, the newest
A_DAY: Final = 500
TABLES: Final = (
    "association", "study", "series", "instance", "job", "finding", "result_object", "delivery",
    "commitment", "announcement", "verdict", "study_event",
)  # fmt: skip

AGO: Final = {
    "sqlite": "strftime('%Y-%m-%d %H:%M:%f000', 'now', (-({})) || ' seconds')",
    "postgresql": "(now() - ({}) * interval '1 second')",
}
AGE_S: Final = f"(CASE WHEN n <= {UNDER_WAY} THEN n * 10 ELSE n * 86400.0 / {A_DAY} END)"
UID: Final = "'1.2.840.99.' || (1000000000 + n)"
# In twenty studies: twelve without a bleed, two with one, one unsure, four not one that may be
# analysed, one whose images are none; and one in a hundred failed.
OUTCOME: Final = (
    "(CASE WHEN n % 20 IN (11, 12) THEN 'POSITIVE' WHEN n % 20 = 13 THEN 'INDETERMINATE'"
    " WHEN n % 20 BETWEEN 14 AND 18 THEN 'NOT_ANALYSED' WHEN n % 100 = 19 THEN 'FAILED'"
    " ELSE 'NEGATIVE' END)"
)
LEVEL: Final = (
    "(CASE n % 20 WHEN 11 THEN 1 WHEN 12 THEN 2 WHEN 13 THEN 3"
    f" ELSE CASE {OUTCOME} WHEN 'NEGATIVE' THEN 4 ELSE 0 END END)"
)
INELIGIBLE: Final = "n % 20 BETWEEN 14 AND 17"
UNREAD: Final = "(n % 20 BETWEEN 14 AND 18 OR n % 100 = 19)"
DONE: Final = f"n > {RUNNING}"
JOB_STATE: Final = (
    f"(CASE WHEN n <= {READY} THEN 'READY' WHEN n <= {RUNNING} THEN 'RUNNING'"
    f" WHEN {UNREAD} THEN 'FAILED' ELSE 'DONE' END)"
)
STUDY_STATE: Final = (
    f"(CASE WHEN n <= {RECEIVING} THEN 'RECEIVING' WHEN n <= {READY} THEN 'READY'"
    f" WHEN n <= {RUNNING} THEN 'RUNNING' ELSE 'DONE' END)"
)
HAS_JOB: Final = f"n > {RECEIVING} AND (n <= {RUNNING} OR NOT ({INELIGIBLE}))"
HEADER: Final = (
    """'{"orientation": [1, 0, 0, 0, 1, 0], "position": [-125.0, -125.0, 12.5], "kernel": "H31s","""
    """ "kvp": 120, "image_type": ["ORIGINAL", "PRIMARY", "AXIAL"], "rows": 512, "columns": 512,"""
    """ "thickness_mm": 5.0, "bits": 12, "slope": 1, "intercept": -1024}'"""
)

# Each is given the numbers n of its studies; `@(seconds)` is so long ago. What gives a row of the
# table is marked, for columns that came later.
ROW: Final = "SELECT /*row*/"
LITERALLY: Final = {"literal_binds": True}
STATEMENTS: Final = (
    f"""INSERT INTO association (id, name, calling_ae, peer, opened_at, closed_at)
    SELECT /*row*/ n, 'a' || n, 'CT' || n % 6, '10.0.0.1', @({AGE_S} + 60),
        CASE WHEN n > {RECEIVING} THEN @({AGE_S}) END FROM number""",
    f"""INSERT INTO study (id, study_instance_uid, patient_id, patient_name, accession_number,
        patient_birth_date, patient_sex, study_date, study_time, study_description, station_name,
        received_at, state, outcome, reason, priority, ready_at, finished_at, model, revision,
        acknowledged_at, escalated_at, second_choice_at, stated_revision, changed_at)
    SELECT /*row*/ n, {UID}, 'P' || (1000000 + n), 'PATIENT^' || n, 'A' || (10000000 + n),
        '19500101', 'O', '20260301', '120000', 'CT HEAD', 'CT' || n % 6, @({AGE_S} + 60),
        {STUDY_STATE},
        CASE WHEN {DONE} THEN {OUTCOME} END, CASE WHEN {DONE} THEN 'measured' END,
        CASE WHEN {DONE} THEN {LEVEL} ELSE 0 END,
        CASE WHEN n > {RECEIVING} THEN @({AGE_S}) END, CASE WHEN {DONE} THEN @({AGE_S}) END,
        'munet', 1, CASE WHEN {DONE} AND n % 9 <> 0 THEN @({AGE_S} - 1) END,
        CASE WHEN n > {UNDER_WAY} AND n % 20 = 11 AND n % 9 = 0 THEN @({AGE_S} - 1) END,
        CASE WHEN n % 20 = 18 AND n BETWEEN {UNDER_WAY} AND 200 THEN @({AGE_S}) END,
        CASE WHEN n > 200 AND {UNREAD} THEN 1 END, @({AGE_S}) FROM number""",
    f"""INSERT INTO series (id, study_id, series_instance_uid, modality, description,
        first_instance_at, last_instance_at, state, completed_by, score, reason, revision,
        scanned_at, removed_instances)
    SELECT /*row*/ 2 * n - 1, n, {UID} || '.1', 'CT', 'HEAD 5 mm', @({AGE_S} + 60), @({AGE_S} + 5),
        CASE WHEN n <= {RECEIVING} THEN 'RECEIVING' WHEN {INELIGIBLE} AND {DONE} THEN 'REJECTED'
        ELSE 'SELECTED' END, 'silence', CASE WHEN NOT ({INELIGIBLE}) THEN 30.0 END, 'head', 1, '', 0
    FROM number
    UNION ALL SELECT /*row*/ 2 * n, n, {UID} || '.2', 'CT', 'BONE', @({AGE_S} + 60), @({AGE_S} + 5),
        CASE WHEN n <= {RECEIVING} THEN 'RECEIVING' ELSE 'REJECTED' END, 'silence',
        CASE WHEN n % 3 = 0 AND NOT {UNREAD} OR n % 20 = 18 AND n BETWEEN {UNDER_WAY} AND 200
        THEN 12.0 END, 'bone', 1, '', 0 FROM number""",
    f"""INSERT INTO instance (series_id, association_id, sop_instance_uid, sop_class_uid,
        transfer_syntax_uid, version, path, size_bytes, sha256, received_at, stored_at,
        slice_position_mm, header)
    SELECT /*row*/ id, study_id, series_instance_uid || '.' || (100 + k),
        '1.2.840.10008.5.1.4.1.1.2', '1.2.840.10008.1.2.1', 1,
        'received/' || series_instance_uid || '/' || (100 + k) || '.dcm',
        526336, '0123456789abcdef0123456789abcdef0123456789abcdef01234567' || (10000000 + id),
        last_instance_at, last_instance_at, '[12.5]', {HEADER}
    FROM series CROSS JOIN slice
    WHERE study_id BETWEEN :first AND :last AND (k <= {INSTANCES - HEAD} OR id % 2 = 1)
    ORDER BY id, k""",
    f"""INSERT INTO job (id, series_id, revision, state, created_at, due_at, attempts, token, owner,
        lease_until, started_at, finished_at, worker_faults, outcome, reason, priority, model)
    SELECT /*row*/ n, 2 * n - 1, 1, {JOB_STATE}, @({AGE_S} + 3), @({AGE_S} + 3),
        CASE WHEN n > {READY} THEN 1 ELSE 0 END, CASE WHEN n > {READY} THEN 1 ELSE 0 END,
        CASE WHEN n > {READY} THEN 'host:1' END,
        CASE WHEN n > {READY} AND n <= {RUNNING} THEN @(-600) WHEN {DONE} THEN @({AGE_S}) END,
        CASE WHEN n > {READY} THEN @({AGE_S} + 2) END, CASE WHEN {DONE} THEN @({AGE_S}) END, 0,
        CASE WHEN {DONE} THEN {OUTCOME} END, 'measured', CASE WHEN {DONE} THEN {LEVEL} ELSE 0 END,
        'munet' FROM number WHERE {HAS_JOB}""",
    """INSERT INTO finding (job_id, subtype, probability, volume_ml, present, claim)
    SELECT /*row*/ job.id, kind.subtype, 0.5, 12.0, job.outcome = 'POSITIVE', 'REPORTED'
    FROM job CROSS JOIN (SELECT 'any' AS subtype UNION ALL SELECT 'EDH' UNION ALL SELECT 'IPH'
        UNION ALL SELECT 'IVH' UNION ALL SELECT 'SAH' UNION ALL SELECT 'SDH') AS kind
    WHERE job.state = 'DONE' AND job.id BETWEEN :first AND :last""",
    f"""INSERT INTO result_object (id, job_id, study_id, study_revision, kind, sop_instance_uid,
        path, sha256, audience)
    SELECT /*row*/ 3 * n + k, CASE WHEN NOT {UNREAD} THEN n END, CASE WHEN {UNREAD} THEN n END,
        CASE WHEN {UNREAD} THEN 1 END, CASE k WHEN 1 THEN 'SR' WHEN 2 THEN 'SC' ELSE 'SEG' END,
        {UID} || '.9.' || k, 'results/' || {UID} || '.' || k || '.dcm',
        '0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef', 'all'
    FROM number CROSS JOIN slice
    WHERE {DONE} AND k <= 3 AND (NOT {UNREAD} OR k <= 2 AND n > 200)""",
    f"""INSERT INTO delivery (destination, key, study_id, job_id, object_id, priority, state,
        created_at, due_at, attempts, token, sent_at)
    SELECT /*row*/ 'PACS', o.sop_instance_uid, n, o.job_id, o.id, {LEVEL},
        CASE WHEN n <= 150 THEN 'WAITING' WHEN n <= 200 THEN 'SENT' ELSE 'COMMITTED' END,
        @({AGE_S}), @({AGE_S}), 1, 1, @({AGE_S})
    FROM number JOIN result_object AS o ON o.id BETWEEN 3 * n + 1 AND 3 * n + 3""",
    f"""INSERT INTO delivery (destination, key, study_id, job_id, priority, state, created_at,
        due_at, attempts, token, sent_at)
    SELECT /*row*/ 'RIS', 'MESSAGE' || (1000000000 + n), n, n, {LEVEL},
        CASE WHEN n <= 150 THEN 'WAITING' ELSE 'DELIVERED' END, @({AGE_S}), @({AGE_S}), 1, 1,
        @({AGE_S}) FROM number WHERE {HAS_JOB} AND {DONE}""",
    f"""INSERT INTO commitment (id, name, transaction_uid, calling_ae, "references", requested_at,
        due_at, attempts, delivered_at)
    SELECT /*row*/ n, 'c' || n, {UID} || '.7', 'CT1',
        '{{"objects": [{{"sop_class_uid": "1.2", "sop_instance_uid": "1.3"}}]}}', @({AGE_S}),
        CASE WHEN n <= 10 THEN @({AGE_S}) END, 1, CASE WHEN n > 10 THEN @({AGE_S}) END
    FROM number""",
    f"""INSERT INTO announcement (study_instance_uid, series_instance_uid, source, ae_title,
        instances, announced_at)
    SELECT /*row*/ {UID}, {UID} || '.1', 'C-FIND', 'CT' || n % 6, {HEAD}, @({AGE_S}) FROM number""",
    f"""INSERT INTO verdict (study_id, job_id, agrees, comment, outcome, given_by, given_at)
    SELECT /*row*/ n, n, n % 40 <> 13, '', {OUTCOME}, 'reader', @({AGE_S}) FROM number
    WHERE {DONE} AND n % 20 IN (11, 13)""",
    f"""INSERT INTO study_event (study_id, kind, created_at, queued_at, detail)
    SELECT /*row*/ n, 'UNREAD_CRITICAL', @({AGE_S} - 1), @({AGE_S} - 1), '{{}}' FROM number
    WHERE n > {UNDER_WAY} AND n % 20 = 11 AND n % 9 = 0""",
)
NUMBERS: Final = f"""WITH RECURSIVE number(n) AS (
    SELECT :first UNION ALL SELECT n + 1 FROM number WHERE n < :last), slice(k) AS (
    SELECT 1 UNION ALL SELECT k + 1 FROM slice WHERE k < {HEAD})
"""


def main() -> None:
    """Fill the database of a home, or of a URL."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("home", type=Path)
    parser.add_argument("--studies", type=int, default=200_000)
    parser.add_argument("--database", help="an empty PostgreSQL database; SQLite without")
    asked = parser.parse_args()
    settings = Settings(_env_file=None, home=asked.home, database_url=asked.database)
    upgrade(settings)
    print(f"{fill(connect(settings), 0, asked.studies):.0f} s")


def fill(database: Database, stored: int, studies: int) -> float:
    """Add what is missing from `stored` studies to `studies`; give the seconds that it took."""
    begun = time.perf_counter()
    for first in range(stored + 1, studies + 1, CHUNK):
        with database.engine.connect() as connection:
            _add(connection, first, min(first + CHUNK - 1, studies))
            connection.commit()
    if database.engine.dialect.name == "postgresql":
        at_once = database.engine.execution_options(isolation_level="AUTOCOMMIT")
        with at_once.connect() as connection:
            connection.exec_driver_sql("VACUUM ANALYZE")
    return time.perf_counter() - begun


def _add(connection: sa.Connection, first: int, last: int) -> None:
    dialect = connection.dialect.name
    for statement in STATEMENTS:
        columns, _, rows = _whole(statement).partition("SELECT")
        command = _dated(f"{columns}{NUMBERS}SELECT{rows}", AGO[dialect])
        for name, value in (("first", first), ("last", last)):
            command = command.replace(f":{name}", str(value))
        connection.exec_driver_sql(command.replace("%", "%%") if dialect != "sqlite" else command)
    if dialect == "postgresql":  # the ids above were given, the next ones are counted on
        for table in TABLES:
            connection.exec_driver_sql(
                f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), max(id)) FROM {table}"
            )


def _whole(statement: str) -> str:
    """Add the columns that a statement does not name and that have a default of ours."""
    head, _, columns = statement.partition("(")
    name = head.split()[-1]
    named = {column.strip(' \n"') for column in columns.partition(")")[0].split(",")}
    given = {
        column.name: column.default.arg
        for column in Base.metadata.tables[name].columns
        if column.name not in named
        and isinstance(column.default, sa.ColumnDefault)
        and column.default.is_scalar
    }
    if not given:
        return statement
    literals = [sa.literal(value).compile(compile_kwargs=LITERALLY) for value in given.values()]
    values = ", ".join(map(str, literals))
    return statement.replace("(", f"({', '.join(given)}, ", 1).replace(ROW, f"{ROW} {values},")


def _dated(statement: str, ago: str) -> str:
    """Write each `@(seconds)` as the database's expression for so long ago."""
    while (start := statement.find("@(")) >= 0:
        end, depth = start + 2, 1
        while depth:
            depth += {"(": 1, ")": -1}.get(statement[end], 0)
            end += 1
        seconds = statement[start + 2 : end - 1]
        statement = statement[:start] + ago.format(seconds) + statement[end:]
    return statement


if __name__ == "__main__":
    main()
