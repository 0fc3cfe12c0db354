"""The periodic runner: lanes that do not wait for each other, failures that are said once."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import structlog

from receiver.periodic.steps import DISPATCH, PLAN, receiver_steps
from receiver.periodic.sweeper import Step, Sweeper
from receiver.roster import Presence
from schema.database import open_database
from schema.settings import Settings
from tests.support.deadline import DEADLINE_S


@contextmanager
def running(*steps: Step) -> Iterator[Sweeper]:
    stopped = threading.Event()
    sweeper = Sweeper(steps)
    sweeper.start(stopped)
    try:
        yield sweeper
    finally:
        stopped.set()
        sweeper.join()


def failing() -> None:
    raise ValueError("DOE^JANE")


def test_a_step_that_hangs_holds_up_no_other_lane() -> None:
    done, release = threading.Semaphore(0), threading.Event()
    slow = Step("slow", "slow lane", 0.001, release.wait)
    with running(slow, Step("quick", "quick lane", 0.001, done.release)):
        ran = all(done.acquire(timeout=DEADLINE_S) for _ in range(5))
        release.set()
    assert ran


def test_steps_of_one_lane_take_turns() -> None:
    turns: list[str] = []
    enough = threading.Event()

    def take(name: str) -> None:
        turns.append(name)
        if len(turns) == 4:
            enough.set()

    steps = [Step(name, "lane", 0, partial(take, name)) for name in "ab"]
    with running(*steps):
        assert enough.wait(DEADLINE_S)
    assert turns[:4] == ["a", "b", "a", "b"]


def test_a_failure_is_logged_once_with_its_place_and_without_what_it_read() -> None:
    sweeper = Sweeper([Step("bad", "lane", 0, failing)])
    with structlog.testing.capture_logs() as logs:
        sweeper.run_once()
        sweeper.run_once("bad")
    assert len(logs) == 1
    assert "ValueError < test_receiver_sweeper.py" in logs[0]["reason"]
    assert "DOE" not in str(logs)


def test_a_step_that_works_again_says_so() -> None:
    outcomes = iter([failing, lambda: None])
    sweeper = Sweeper([Step("bad", "lane", 0, lambda: next(outcomes)())])
    with structlog.testing.capture_logs() as logs:
        sweeper.run_once()
        sweeper.run_once()
    assert [entry["event"] for entry in logs] == ["step fails, will try again", "step works again"]


def test_messages_go_out_while_series_are_decided_on(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, storage_dir=tmp_path, retention_days=1)
    database = open_database(settings)
    steps = receiver_steps(settings, database, Presence(tmp_path))
    lanes = {step.name: step.lane for step in steps}
    database.engine.dispose()
    others = {lane for name, lane in lanes.items() if name not in (DISPATCH, "orphans")}
    assert lanes[DISPATCH] not in others
    assert lanes["retention"] == lanes["rebuild"] == lanes["certificate"] != lanes[PLAN]
