"""Scanners that send heads to whichever receiver answers, until each image was acknowledged."""

import hashlib
import itertools
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from pydicom.uid import generate_uid

from schema.dicom import DimseStatus
from tests.support.phantoms import FEW_MM, HEAD_MM, Phantom
from tests.support.scu import CT, EXPLICIT, Scu, encode

PAUSE_S: Final = 0.1  # before the next receiver is asked
SIZE: Final = 160  # pixels of 1 mm
WATER_EVERY: Final = 5  # these studies end before the network


@dataclass
class Modalities:
    """Send studies one after another from several threads; `acknowledged` has SHA-256 by UID.

    `longest_pause_s` is how long a study got no answer at most: nobody can know of an image that a
    scanner does not get rid of.
    """

    ports: Sequence[int]
    waiting: threading.Semaphore  # how many studies may be under way
    studies: dict[str, int] = field(default_factory=dict)  # number of images
    acknowledged: dict[str, str] = field(default_factory=dict)
    longest_pause_s: dict[str, float] = field(default_factory=dict)
    refused: int = 0
    enough: threading.Event = field(default_factory=threading.Event)

    def start(self, least: int, threads: int) -> list[threading.Thread]:
        """Begin to send: so many studies at least, and others until it is enough."""
        numbers = itertools.count()

        def run() -> None:
            for number in numbers:  # a step of a count is one step for all threads
                if number >= least and self.enough.is_set():
                    return
                self.waiting.acquire()
                self._send(number)

        started = [threading.Thread(target=run, daemon=True) for _ in range(threads)]
        for thread in started:
            thread.start()
        return started

    def _send(self, number: int) -> None:
        """Send one study; what was not acknowledged goes to the other receiver."""
        is_head = number % WATER_EVERY != 0
        uid = generate_uid()[:50]
        images = Phantom(
            HEAD_MM if is_head else FEW_MM, study=uid, skull=is_head, size=SIZE, spacing_mm=1.0
        ).datasets
        self.studies[uid] = len(images)
        left = [(str(ds.SOPInstanceUID), encode(ds)) for ds in images]
        answered = Stopwatch()
        for port in itertools.islice(itertools.cycle(self.ports), number, None):
            with suppress(OSError):
                self._associate(port, left, answered)
            self.longest_pause_s[uid] = answered.longest_s
            if not left:
                return
            time.sleep(PAUSE_S)

    def _associate(self, port: int, left: list[tuple[str, bytes]], answered: "Stopwatch") -> None:
        with Scu(("127.0.0.1", port), ((CT, EXPLICIT),)) as scu:
            while left:
                uid, encoded = left[0]
                if scu.store(CT, uid, encoded) != DimseStatus.SUCCESS:
                    self.refused += 1
                    return
                self.acknowledged[uid] = hashlib.sha256(encoded).hexdigest()
                left.pop(0)
                answered.lap()
            scu.release()


class Stopwatch:
    """The longest time between two laps."""

    def __init__(self) -> None:
        self.longest_s = 0.0
        self._last: float | None = None

    def lap(self) -> None:
        """End one, begin the next."""
        now = time.monotonic()
        self.longest_s = max(self.longest_s, now - (self._last or now))
        self._last = now
