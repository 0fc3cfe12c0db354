"""Keep pydicom from validating values, in every thread that asks for it at the same time.

pydicom's warnings print values, and a value may be a patient's. Its own `disable_value_validation`
is one switch for the whole process: the first of two threads to leave it turns the warnings on
again for the other.
"""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from pydicom.config import disable_value_validation

_turn = threading.Lock()
_switch = ExitStack()
_inside = 0  # threads within `unvalidated`


@contextmanager
def unvalidated() -> Iterator[None]:
    """Take values as they are; the last one to leave turns validation on again."""
    _enter()
    try:
        yield
    finally:
        _leave()


def _enter() -> None:
    global _inside
    with _turn:
        if not _inside:
            _switch.enter_context(disable_value_validation())
        _inside += 1


def _leave() -> None:
    global _inside
    with _turn:
        _inside -= 1
        if not _inside:
            _switch.close()
