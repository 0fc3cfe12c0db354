"""What the look at pixels says of every head and body: `python tests/benchmarks/looking.py`.

Reads all CT-ICH patients, the GE series and the bodies of `tests/support/bodies.py`; every plain
head is looked at as it is, enhanced, without its five middle slices and cut off after 14 slices.
Exits 1 if one verdict is wrong. `--every 10` takes each tenth patient.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.support.bodies import STRANGERS, body, enhanced
from tests.support.heads import ctich, ge_head, kept, release, thinned, without_middle
from worker.look.contrast import Contrast
from worker.look.marks import refusal
from worker.look.series_look import Look, look
from worker.reasons import describe_part
from worker.rules import load_rules
from worker.volume import Volume

THICKNESS_MM: Final = 5.0
CUT_AFTER: Final = 14
LIMITS: Final = load_rules().coverage


@dataclass(frozen=True)
class Verdict:
    """One look: what it was, whether it is right, what it said, how long it took."""

    name: str
    right: bool
    words: str
    cpu_s: float


def main() -> None:
    """Look, print and exit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=1)
    every = parser.parse_args().every
    verdicts = []
    for verdict in verdicts_of(every):
        verdicts.append(verdict)
        say(f"{verdict.name:28} {'ok' if verdict.right else 'WRONG':6} {verdict.words}")
    took = [verdict.cpu_s for verdict in verdicts]
    wrong = [verdict.name for verdict in verdicts if not verdict.right]
    say(
        f"{len(verdicts)} series, {len(wrong)} wrong; CPU seconds a series:"
        f" median {statistics.median(took):.2f}, longest {max(took):.2f}"
    )
    sys.exit(bool(wrong))


def verdicts_of(every: int) -> Iterator[Verdict]:
    """Look at everything."""
    for name, paint in STRANGERS.items():
        yield stranger(name, body(paint))
        yield stranger(f"{name}, thin slices", thinned(body(paint), 4))
    yield from of_head("GE", ge_head())
    for patient in release().patients[::every]:
        yield from of_head(f"CT-ICH {patient:03d}", ctich(patient))
    yield plain("1 mm, 200 slices", thinned(kept(ctich(57), range(2, 35)), 6), 1.0)


def of_head(name: str, head: Volume) -> Iterator[Verdict]:
    """Look at a plain head, whole, enhanced and in parts."""
    yield plain(name, head, THICKNESS_MM)
    for hu in (140.0, 350.0):
        seen, cpu_s = timed(enhanced(head, hu))
        right = seen.contrast is Contrast.ENHANCED and bool(refusal(seen))
        yield Verdict(f"{name}, vessels of {hu:.0f}", right, f"{seen.vessel_share:.2f}", cpu_s)
    yield part(f"{name}, 5 middle slices out", without_middle(head, 5))
    yield part(f"{name}, cut after {CUT_AFTER}", kept(head, range(CUT_AFTER)))


def stranger(name: str, volume: Volume) -> Verdict:
    """A body is refused."""
    seen, cpu_s = timed(volume)
    return Verdict(name, not seen.is_head, refusal(seen), cpu_s)


def plain(name: str, volume: Volume, thickness_mm: float) -> Verdict:
    """A plain whole head is analysed, and nothing is doubted."""
    seen, cpu_s = timed(volume, thickness_mm)
    right = (
        seen.is_head
        and seen.contrast is Contrast.PLAIN
        and not describe_part(seen.coverage, LIMITS)
    )
    share = seen.coverage.share if seen.coverage else 0.0
    return Verdict(name, right, f"{share:.2f} seen, vessels {seen.vessel_share:.2f}", cpu_s)


def part(name: str, volume: Volume) -> Verdict:
    """Part of a head is never negative: it is refused, or the part is named."""
    seen, cpu_s = timed(volume)
    words = refusal(seen) or describe_part(seen.coverage, LIMITS)
    return Verdict(name, bool(words), words, cpu_s)


def timed(volume: Volume, thickness_mm: float = THICKNESS_MM) -> tuple[Look, float]:
    """Look, and count this process's own time: the machine may have other work."""
    start = time.process_time()
    seen = look(volume, thickness_mm)
    return seen, time.process_time() - start


def say(line: str) -> None:
    """Print at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
