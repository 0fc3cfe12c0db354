"""What the epochs so far decide: the learning rate of the next step, and when a stage is over."""

import math
from collections.abc import Sequence

from trainer.config import ConfigError, Optimiser, RunConfig

History = Sequence[dict[str, float]]
WARM_UP = 0.03  # of a cosine run: batch statistics settle before the full rate


def check_watched(config: RunConfig, patients: Sequence[int]) -> None:
    """Refuse a run that looks at validation patients and has none.

    Raises
    ------
    ConfigError
        The rate follows a plateau, or training stops early, and nobody to look at is held out.
    """
    if config.optimiser.watches and not patients:
        blood = "" if config.sampling.healthy else " with blood"
        raise ConfigError(
            f"{config.name} halves its rate or stops by validation patients;"
            f" hold some{blood} out (--held-out)"
        )


def rate(config: RunConfig, history: History, epoch: float) -> float:
    """Return the learning rate at a moment of the run, from what is known then."""
    settings = config.optimiser
    if settings.schedule == "plateau":
        return settings.rate * 0.5 ** halvings([h["validation_loss"] for h in history], settings)
    done = epoch / config.epochs
    warm = min(1.0, (done + 1e-3) / WARM_UP)
    return settings.rate * warm * (0.5 + 0.5 * math.cos(math.pi * done)) + settings.rate * 1e-2


def halvings(losses: list[float], settings: Optimiser) -> int:
    """How often the rate was halved: each time `patience` epochs went by without a better loss."""
    best, waited, count = math.inf, 0, 0
    for loss in losses:
        waited = 0 if loss < best else waited + 1
        best = min(best, loss)
        if waited == settings.patience:
            count, waited = count + 1, 0
    return count


def next_epoch(config: RunConfig, history: History, epoch: int) -> int:
    """Return the epoch after this one: the next stage's first if this stage stops early."""
    if not config.optimiser.stop:
        return epoch + 1
    stage = config.span_of(epoch)
    losses = [h["validation_loss"] for h in history if h["epoch"] in stage]
    waited = len(losses) - 1 - losses.index(min(losses))
    return stage.stop if waited >= config.optimiser.stop else epoch + 1
