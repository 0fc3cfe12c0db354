"""What it costs to feed a head as the shipped card says, against the same without each part.

A made-up head of 31 slices, soft and grainy, then a thin scan of 250 slices and the same number
interpolated from 31: seconds of processor, and as a share of the seconds of the whole feeding.

    OMP_NUM_THREADS=1 python -m tests.benchmarks.feeding
"""

import time
from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt

from trainer.evaluation.perturb import Head, thickness
from worker.munet import checkpoint
from worker.munet.checkpoint import SHIPPED
from worker.munet.preprocessing import Preprocessing
from worker.munet.resampled import scanned

SIDE = 512
ROUNDS = 3


def head(count: int, step_mm: float, noise_hu: float) -> Head:
    """Make a skull with brain and noise."""
    rng = np.random.default_rng(0)
    frame = np.full((SIDE, SIDE), -1000.0, np.float32)
    cv2.ellipse(frame, (256, 256), (170, 215), 0, 0, 360, 1000.0, -1)
    cv2.ellipse(frame, (256, 256), (155, 200), 0, 0, 360, 36.0, -1)
    noise = rng.standard_normal((count, SIDE, SIDE), np.float32) * np.float32(noise_hu)
    return Head(frame + noise, np.arange(count) * step_mm)


def seconds(feed: Preprocessing, given: Head) -> float:
    """Processor time of one feeding, the least of some."""
    spent = []
    for _ in range(ROUNDS):
        begun = time.process_time()
        feed(*given.series)
        spent.append(time.process_time() - begun)
    return min(spent)


def looked_for(given: Head) -> tuple[float, bool]:
    """Processor time of looking for interpolated slices, and whether there were any."""
    begun = time.process_time()
    found = scanned(given.hu, given.slice_position_mm)
    return time.process_time() - begun, found is not None


def main() -> None:
    """Print the table."""
    feed = checkpoint.read_card(SHIPPED).preprocessing
    plain = replace(feed, noise_hu=0.0)
    for name, noise_hu in (("soft", 2.0), ("grainy", 12.0)):
        given = head(31, 5.0, noise_hu)
        both = seconds(plain, given), seconds(feed, given)
        print(f"31 slices, {name}: {both[0]:.2f} s, smoothed where grainy {both[1]:.2f} s")
    thick: npt.NDArray[np.float32] = head(31, 5.0, 6.0).hu
    for name, given in (
        ("thin scan", head(250, 0.62, 12.0)),
        ("interpolated", thickness(0.62)(Head(thick, np.arange(31) * 5.0))),
    ):
        spent, found = looked_for(given)
        whole = seconds(feed, given)
        print(
            f"{len(given.hu)} slices, {name}: {spent:.2f} of {whole:.2f} s look for what was"
            f" scanned, {'found' if found else 'none found'}"
        )


if __name__ == "__main__":
    main()
