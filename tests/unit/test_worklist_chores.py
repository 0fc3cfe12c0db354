"""What the page's process does again and again: whatever one of it meets, the rest goes on."""

import threading

import pytest
from structlog.testing import capture_logs

from tests.support.deadline import DEADLINE_S
from worklist import chores
from worklist.chores import Chores


@pytest.mark.parametrize("error", [ValueError("of nobody's"), OSError(30, "Read-only file system")])
def test_a_chore_that_fails_ends_neither_itself_nor_the_others(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(chores, "PAUSE_S", 0.01)
    rounds = threading.Semaphore(0)

    def fail() -> None:
        raise error

    with capture_logs() as lines, Chores(fail, rounds.release):
        assert all(rounds.acquire(timeout=DEADLINE_S) for _ in range(2))
    assert {line["event"] for line in lines} == {"chore_failed"}
    assert type(error).__name__ in lines[0]["error"]
