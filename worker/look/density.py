"""How dense brain and skull are, and how large: what a child or a wrong scale differs in."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from worker.look.contrast import RIM_MM, deep_brain
from worker.look.section import BONE_HU, Section, vault_of


@dataclass(frozen=True)
class Density:
    """Medians over the vault's slices.

    Attributes
    ----------
    brain_hu
        Of brain away from the skull; None where there is none.
    skull_hu
        Of all bone; None where there is none.
    brain_cm2
        The largest section of what the skull encloses.
    """

    brain_hu: float | None
    skull_hu: float | None
    brain_cm2: float


def density_of(head: Sequence[Section]) -> Density:
    """Measure the sections that show brain."""
    vault = vault_of(head)
    brain = [section.hu[deep_brain(section.brain, RIM_MM)] for section in vault]
    skull = [section.hu[section.hu > BONE_HU] for section in vault]
    return Density(_median(brain), _median(skull), max(section.brain_cm2 for section in vault))


def _median(values: Sequence[np.ndarray]) -> float | None:
    """Return the median of medians: one slice with a large bleed moves it little."""
    medians = [float(np.median(some)) for some in values if some.size]
    return float(np.median(medians)) if medians else None
