"""What telling types by whole bleeds costs, against votes of their pixels, by the shipped card.

One sample with a bleed is asked once; its answer is read both ways: seconds of processor.

    OMP_NUM_THREADS=1 python -m tests.benchmarks.telling
"""

import sys
import time
from collections.abc import Callable

from tests.benchmarks.delivering import pick
from worker.munet.checkpoint import SHIPPED
from worker.munet.inference import Predictor, read, teller
from worker.slices import read_series

ROUNDS = 5


def seconds(work: Callable[[], object]) -> float:
    """Processor time of one call, the least of some."""
    spent = []
    for _ in range(ROUNDS):
        begun = time.process_time()
        work()
        spent.append(time.process_time() - begun)
    return min(spent)


def main() -> None:
    """Print both, and the network beside them."""
    volume = read_series(sorted(pick("bleed").glob("*.dcm"))).volume
    predictor = Predictor(SHIPPED, "cpu")
    card = predictor.card
    series, back = card.preprocessing(volume.hu, volume.slice_position_mm)
    begun = time.process_time()
    maps = predictor.run(series)
    network = time.process_time() - begun
    tell = teller(card.bleed_types, series.brain)
    point = card.operating_point
    whole = seconds(lambda: read(maps, card.scoring, point, back, tell))
    votes = seconds(lambda: read(maps, card.scoring, point, back))
    sys.stdout.write(
        f"{len(volume.hu)} slices: the network {network:.2f} s, read by votes {votes:.3f} s,"
        f" by whole bleeds {whole:.3f} s ({whole / votes:.2f} times)\n"
    )


if __name__ == "__main__":
    main()
