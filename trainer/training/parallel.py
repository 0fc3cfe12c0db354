"""Several GPUs, or several processes, through torch's own launcher.

`torchrun --standalone --nproc-per-node 4 -m -- trainer fit ...` starts four processes that train
one network: each takes its share of every batch, gradients are averaged, and the first alone
validates, saves and talks. (Without the `--` the launcher takes our `--run` for one of its own
options.) Started without the launcher there is one process, and nothing here does anything.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

T = TypeVar("T")
CPU = torch.device("cpu")


@dataclass(frozen=True)
class World:
    """Which of how many processes this is, and the device it trains on."""

    rank: int = 0
    size: int = 1
    device: torch.device = CPU

    @property
    def first(self) -> bool:
        """Whether this is the process that validates, saves and talks."""
        return self.rank == 0

    def share(self, batch: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
        """Take this process's part of a batch."""
        return batch[self.rank :: self.size]

    def learner(self, network: nn.Module) -> nn.Module:
        """Wrap a network so that its gradients are averaged over all processes."""
        return network if self.size == 1 else DistributedDataParallel(network)

    def same(self, values: Iterable[Tensor]) -> None:
        """Give every process the first one's values: batch statistics differ between them."""
        if self.size > 1:
            for value in values:
                dist.broadcast(value, 0)

    def agreed(self, value: T) -> T:
        """Give every process the first one's value."""
        if self.size == 1:
            return value
        held = [value]
        dist.broadcast_object_list(held, 0)
        return held[0]

    def mean(self, values: Tensor, counted: Tensor) -> Tensor:
        """Mean over the processes that counted a value; NaN where none did."""
        total, count = (values * counted).to(self.device), counted.to(self.device)
        if self.size > 1:
            dist.all_reduce(total)
            dist.all_reduce(count)
        return (total / count).cpu()


@contextmanager
def joined() -> Iterator[World]:
    """Join the launcher's processes for as long as the block lasts."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield World(device=torch.device("cuda" if torch.cuda.is_available() else "cpu"))
        return
    cuda = torch.cuda.is_available()
    local = int(os.environ.get("LOCAL_RANK", "0"))
    device = torch.device(f"cuda:{local}" if cuda else "cpu")
    dist.init_process_group("nccl" if cuda else "gloo")
    try:
        yield World(dist.get_rank(), size, device)
    finally:
        dist.destroy_process_group()
