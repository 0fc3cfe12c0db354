"""Volumes and densities of real bleeds, for synthetic ones.

`priors.csv` has type, volume and mean HU of the connected bleeds in BHSD (192 head CTs of several
scanners): facts from `BHSD_hemorrhage_characteristics.csv` of
DIDSR/framework-for-synthetic-ICH-to-assess-AI-generalizability (FDA), which is CC0 1.0. Left out
are those below 0.3 mL, which are lost on the network's grid, those above 60 mL, since no brain is
pushed aside here, and those below 28 HU: what is darker than brain would teach that fluid is blood.
"""

import csv
from functools import cache
from importlib.resources import files
from typing import NamedTuple

import numpy as np

from worker.munet.card import CLASSES

PIECES = {"SAH": 4, "SDH": 3, "IVH": 2}
MOST_ML = 60.0


class Bleed(NamedTuple):
    """What a real bleed measures."""

    volume_ml: float
    hu: float


@cache
def priors() -> dict[str, tuple[Bleed, ...]]:
    """Read the measures of each type's bleeds."""
    found: dict[str, list[Bleed]] = {name: [] for name in CLASSES}
    text = files(__package__).joinpath("priors.csv").read_text("utf-8")
    for row in csv.DictReader(text.splitlines()):
        found[row["type"]].append(Bleed(float(row["volume_ml"]), float(row["mean_hu"])))
    return {name: tuple(bleeds) for name, bleeds in found.items()}


def drawn(name: str, rng: np.random.Generator) -> Bleed:
    """Draw volume and density of a real bleed: the two belong together.

    What comes in pieces gets the volume of several.
    """
    bleeds = priors()[name]
    picked = [bleeds[i] for i in rng.integers(len(bleeds), size=PIECES.get(name, 1))]
    return Bleed(min(sum(piece.volume_ml for piece in picked), MOST_ML), picked[0].hu)
