"""No value reaches a warning, whichever thread is done first."""

import threading

from pydicom.config import IGNORE, settings

from tests.support.deadline import DEADLINE_S
from worker.unvalidated import unvalidated


def test_validation_stays_off_for_a_thread_while_another_leaves() -> None:
    before = settings.reading_validation_mode
    entered, leave = threading.Event(), threading.Event()

    def first() -> None:
        with unvalidated():
            entered.set()
            leave.wait(DEADLINE_S)

    thread = threading.Thread(target=first)
    thread.start()
    assert entered.wait(DEADLINE_S)
    with unvalidated():
        leave.set()
        thread.join(DEADLINE_S)
        assert settings.reading_validation_mode == IGNORE
    assert settings.reading_validation_mode == before


def test_validation_is_on_again_after_an_error() -> None:
    before = settings.reading_validation_mode
    try:
        with unvalidated(), unvalidated():
            raise ValueError
    except ValueError:
        pass
    assert settings.reading_validation_mode == before
