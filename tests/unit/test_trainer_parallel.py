import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.support.deadline import DEADLINE_S
from trainer.training.parallel import World

pytestmark = pytest.mark.slow  # trains

ROOT = Path(__file__).parents[2]
SCRIPT = """
import io, os, sys
from pathlib import Path
import numpy as np
import torch
from rich.console import Console
from trainer.datasets.cache import Prepared
from trainer.config import Augment, Optimiser, RunConfig, Sampling, Stage
from trainer.training.fit import fit
from trainer.datasets.splits import Split
from worker.munet.network import NetworkConfig

torch.set_num_threads(1)
rng = np.random.default_rng(0)
types, masks = np.zeros((16, 5), np.bool_), np.zeros((16, 32, 32), np.bool_)
for row in (1, 5, 9):
    types[row, 0], masks[row, 5:15, 10:20] = True, True
pictures = rng.integers(60, 100, (16, 32, 32)).astype(np.uint8)
pictures[masks] += 100
layout = np.repeat(np.arange(16)[:, None], 3, axis=1)
patients = np.repeat([1, 2, 3, 4], 4)
prepared = Prepared(patients, np.tile([1, 2, 3, 4], 4), types, pictures, masks, layout)
config = RunConfig(
    "two",
    stages=(Stage(32, 2, 8),),
    network=NetworkConfig(width=4),
    augment=Augment(noise=0.05),
    sampling=Sampling(slices=16),
    optimiser=Optimiser(rate=1e-3, schedule="plateau", average=0.5),
)
folder = Path(sys.argv[1])
run = fit(config, prepared, Split((1, 2, 3), (4,)), folder, Console(file=io.StringIO()))
values = {name: run.network.state_dict() for name in ("network",)}
values |= {"average": run.average.state_dict(), "hardness": run.hardness, "history": run.history}
torch.save(values, folder / f"rank-{os.environ['RANK']}.pt")
"""


def test_two_processes_end_with_the_same_weights(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]
    done = subprocess.run(
        [*launcher, "2", str(tmp_path / "script.py"), str(tmp_path)],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE_S,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    first, second = (torch.load(tmp_path / f"rank-{rank}.pt") for rank in (0, 1))
    for kind in ("network", "average"):
        assert all(torch.equal(v, second[kind][name]) for name, v in first[kind].items())
    assert torch.equal(first["hardness"], second["hardness"])
    assert str(first["history"]) == str(second["history"])  # NaN is not equal to itself
    assert len(first["history"]) == 2


def test_a_batch_is_shared_out_without_loss():
    batch = np.arange(7)
    shares = [World(rank, 3).share(batch) for rank in range(3)]
    assert sorted(np.concatenate(shares)) == list(range(7))


def test_one_process_alone_talks_to_nobody():
    network = torch.nn.Linear(1, 1)
    assert World().learner(network) is network
    assert World().agreed({"dice": 0.5}) == {"dice": 0.5}
    means = World().mean(torch.tensor([2.0, 3.0]), torch.tensor([1.0, 0.0]))
    assert means[0] == 2
    assert means[1].isnan()
