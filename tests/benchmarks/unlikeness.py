"""How unlike the training data heads measure: `python -m tests.benchmarks.unlikeness`.

Twelve of its patients and the GE head, as they are; then each of the twelve changed as another
scanner would have changed it, and whether that is said. All its patients, each against the others:
`python -m trainer measure`.
"""

import statistics
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from tests.support.heads import ctich, ge_head, sharpened
from trainer.evaluation.perturb import CHANGES, Head
from worker.look.series_look import look
from worker.look.unlikeness import Unlikeness, measured, unlikeness
from worker.munet.checkpoint import SHIPPED, read_card
from worker.volume import Volume

CARD = read_card(SHIPPED)
TWELVE = (57, 58, 64, 67, 74, 77, 84, 91, 99, 105, 112, 124)
NAMES = ("2.5 mm slices", "1.25 mm slices", "overlapping slices", "10 mm slices", "sharp kernel",
         "smooth kernel", "noise of 10 HU", "5 HU more", "5 HU less", "rotated by 20 degrees",
         "gantry tilted by 15 degrees")  # fmt: skip


def main() -> None:
    """Compare and print."""
    heads = {patient: ctich(patient) for patient in TWELVE}
    plain = {patient: compared(head) for patient, head in heads.items()}
    for patient, found in plain.items():
        say(f"CT-ICH {patient:03d}", found)
    say("GE", compared(ge_head()))
    tell("as scanned", list(plain.values()))
    for name in NAMES:
        tell(name, [compared(changed(name, head)) for head in heads.values()])
    tell("noise of a bone kernel", [compared(sharpened(head, 15.0)) for head in heads.values()])


def compared(head: Volume) -> Unlikeness:
    """Hold one head against the shipped model's training patients."""
    found = unlikeness(measured(look(head)), CARD.measured)
    assert found is not None
    return found


def changed(name: str, head: Volume) -> Volume:
    """Change a head as `python -m trainer evaluate --perturb` does."""
    hu, slice_position_mm, _ = CHANGES[name](Head(head.hu, head.slice_position_mm)).series
    return replace(
        head, hu=hu, slice_position_mm=slice_position_mm, sop_instance_uids=(), frame_numbers=()
    )


def say(name: str, found: Unlikeness) -> None:
    """Print one head."""
    high = "UNLIKE" if found.is_high else ""
    sys.stdout.write(f"{name:28} {found.score:6.2f} {high:6} {found}\n")
    sys.stdout.flush()


def tell(name: str, found: Sequence[Unlikeness]) -> None:
    """Print how many of several heads are unlike, and in what."""
    high = [unlike for unlike in found if unlike.is_high]
    by = Counter(unlike.measure for unlike in high)
    scores = [unlike.score for unlike in found]
    sys.stdout.write(
        f"{name:28} {len(high):2} of {len(found)} unlike; score {min(scores):.2f} to"
        f" {max(scores):.2f}, median {statistics.median(scores):.2f}; {dict(by)}\n"
    )
    sys.stdout.flush()


if __name__ == "__main__":
    main()
