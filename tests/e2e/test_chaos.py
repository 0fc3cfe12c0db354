"""A short chaos: the parts of a whole site are killed, stopped and misled while studies arrive."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

pytestmark = pytest.mark.slow  # starts a whole system and breaks it

STUDIES = 40


@pytest.mark.timeout(3600)
def test_whatever_is_killed_stopped_or_misled_each_study_ends_once_and_nothing_is_lost() -> None:
    from tests.chaos.__main__ import run  # its PostgreSQL wants a runtime folder at import

    with TemporaryDirectory(prefix="chaos", ignore_cleanup_errors=True) as folder:
        rows, verdict = run(Path(folder), STUDIES)
    assert len(rows) > 10
    faults = {name: count for name, count in verdict.faults.items() if count}
    assert faults == {}, "\n".join(verdict.details)
    assert verdict.is_clean
