"""The network by torch and by ONNX Runtime: `python -m tests.benchmarks.backends [--rounds 5]`.

Both by turns on one sample in one process, the mirror image included and preprocessing not, so that
the ratio is the runtimes' own. The shipped network is exported to a folder that is removed again.
"""

import argparse
import statistics
import tempfile
from pathlib import Path
from time import perf_counter

import numpy as np
import torch

from tests.benchmarks.delivering import pick
from worker.munet import checkpoint
from worker.munet.compiled import EAGER, ONNX
from worker.munet.inference import Predictor
from worker.munet.onnx_export import export
from worker.slices import read_series


def main() -> None:
    """Print seconds of each and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sample", default="bleed", help="a folder of deploy/samples")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = exported(Path(folder))
        predictors = {name: Predictor(path, "cpu", backend=name) for name in (EAGER, ONNX)}
    report(predictors, pick(asked.sample), asked.rounds)


def exported(folder: Path) -> Path:
    """Copy the shipped checkpoint and export it."""
    for path in checkpoint.paths(checkpoint.SHIPPED):
        (folder / path.name).write_bytes(path.read_bytes())
    start = perf_counter()
    export(folder / checkpoint.SHIPPED.name)
    print(f"export: {perf_counter() - start:.1f} s")
    return folder / checkpoint.SHIPPED.name


def report(predictors: dict[str, Predictor], sample: Path, rounds: int) -> None:
    """Let them take turns."""
    volume = read_series(sorted(sample.glob("*.dcm"))).volume
    series, _ = predictors[EAGER].card.preprocessing(volume.hu, volume.slice_position_mm)
    took: dict[str, list[float]] = {name: [] for name in predictors}
    maps = {}
    for _ in range(rounds + 1):
        for name, predictor in predictors.items():
            start = perf_counter()
            maps[name] = predictor.run(series)
            took[name].append(perf_counter() - start)
    seconds = {name: statistics.median(times[1:]) for name, times in took.items()}  # first: warm-up
    apart = np.abs(maps[EAGER].logits - maps[ONNX].logits).max()
    print(f"{len(series.layout)} slices, {torch.get_num_threads()} threads")
    for name, value in seconds.items():
        print(f"{name} ({predictors[name].backend}): {value:.2f} s")
    print(f"eager : compiled = {seconds[EAGER] / seconds[ONNX]:.2f}; logits apart by {apart:.1g}")


if __name__ == "__main__":
    main()
