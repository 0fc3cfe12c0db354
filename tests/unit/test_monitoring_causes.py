"""The few words that unanalysed studies are counted by fit what writes their reasons."""

import importlib
from types import ModuleType

import pytest

from schema.monitoring.causes import Cause, cause_of
from schema.reason_words import UNDECIDED
from schema.states import Outcome
from worker.lease import DIED
from worker.results import FILE_MISSING


@pytest.fixture
def tasks(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setenv("TRIAGE_BROKER_URL", "redis://127.0.0.1:1")  # only the import needs one
    return importlib.import_module("worker.tasks")


def failed(reason: str) -> Cause | None:
    return cause_of(Outcome.FAILED, reason, had_job=True, mixed=False)


def test_what_was_analysed_has_no_cause() -> None:
    assert cause_of(Outcome.POSITIVE, "12 mL", had_job=True, mixed=False) is None


def test_each_reason_of_the_worker_has_its_cause(tasks: ModuleType) -> None:
    assert failed(f"given up after 3 attempts: {DIED}") is Cause.WORKER_DIED
    assert failed(f"given up after 3 attempts: {tasks.DECODER_KILLED}") is Cause.WORKER_DIED
    assert failed(FILE_MISSING) is Cause.FILE_MISSING
    assert failed(f"given up after 3 attempts: {tasks.BUG}") is Cause.SOFTWARE
    assert failed("given up after 3 attempts: not done within 600 s") is Cause.TIME_LIMIT
    assert failed("an image of the series is no DICOM") is Cause.UNREADABLE


def test_a_series_on_which_deciding_failed_is_a_fault_of_this_software() -> None:
    for had_job in (False, True):
        cause = cause_of(Outcome.NOT_ANALYSED, UNDECIDED, had_job=had_job, mixed=False)
        assert cause is Cause.SOFTWARE


def test_no_series_is_told_from_pixels_that_are_no_head_and_from_two_patients() -> None:
    reason = "series 2: a knee"
    given = {"outcome": Outcome.NOT_ANALYSED, "reason": reason}
    assert cause_of(**given, had_job=False, mixed=False) is Cause.NO_SERIES
    assert cause_of(**given, had_job=True, mixed=False) is Cause.PIXELS
    assert cause_of(**given, had_job=True, mixed=True) is Cause.TWO_PATIENTS
