"""What each further network of an average costs: `python -m tests.benchmarks.averaging`.

One network of the shipped shape and averages of several take turns on one sample, mirror image
included and preprocessing not. Weights don't matter for time and are random.
"""

import argparse
import statistics
from time import perf_counter

import torch

from tests.benchmarks.delivering import pick
from worker.munet.checkpoint import SHIPPED, read_card
from worker.munet.ensemble import make
from worker.munet.inference import run
from worker.slices import read_series


def main() -> None:
    """Print seconds a study of each, and their ratio to one network."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--members", default="1,2,4", help="how many networks, the first is 1")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sample", default="bleed", help="a folder of deploy/samples")
    asked = parser.parse_args()
    card = read_card(SHIPPED)
    volume = read_series(sorted(pick(asked.sample).glob("*.dcm"))).volume
    series, _ = card.preprocessing(volume.hu, volume.slice_position_mm)
    counts = [int(count) for count in asked.members.split(",")]
    networks = {count: make(card.network, count).eval() for count in counts}
    took: dict[int, list[float]] = {count: [] for count in counts}
    for _ in range(asked.rounds + 1):
        for count, network in networks.items():
            start = perf_counter()
            run(network, series, card.scoring, torch.device("cpu"))
            took[count].append(perf_counter() - start)
    print(f"{len(series.layout)} slices, {torch.get_num_threads()} threads")
    seconds = {count: statistics.median(times[1:]) for count, times in took.items()}  # warm-up
    for count, value in seconds.items():
        print(f"{count}: {value:.2f} s, {value / seconds[counts[0]]:.2f} times one")


if __name__ == "__main__":
    main()
