"""What was found: a volume and a score for each type of hemorrhage, and for any of them."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from schema.subtypes import ANY, KEYS, SUBTYPES
from worker.volume import Volume


@dataclass(frozen=True)
class Finding:
    """One type of hemorrhage in one study.

    Attributes
    ----------
    subtype
        `any`, or a key of `schema.subtypes`.
    probability
        The model's score for the study, 0 ... 1.
    volume_ml
        Volume of its final mask.
    present
        Whether its final mask has a voxel.
    """

    subtype: str
    probability: float
    volume_ml: float
    present: bool

    def __post_init__(self) -> None:
        """Refuse what no model and no mask can give; NaN above all."""
        if self.subtype not in (ANY, *KEYS):
            raise ValueError(f"{self.subtype!r} is none of {(ANY, *KEYS)}")
        if not 0 <= self.probability <= 1:
            raise ValueError(f"{self.subtype}: probability {self.probability} is not in 0 ... 1")
        if not 0 <= self.volume_ml < float("inf"):
            raise ValueError(f"{self.subtype}: {self.volume_ml} mL is no volume")


def measure(
    volume: Volume, labels: npt.NDArray[np.uint8], probabilities: Mapping[str, float]
) -> tuple[Finding, ...]:
    """Measure each type on the source grid.

    Parameters
    ----------
    volume
        The series, with its true geometry.
    labels
        (slice, row, column) segment numbers of `schema.subtypes`, 0 for none.
    probabilities
        The study's score for each type and for `any`.

    Returns
    -------
    tuple of Finding
        `any` first, then the types in the schema's order.

    Raises
    ------
    ValueError
        Labels of another shape or beyond the five types, or a score that is missing or no
        probability.
    """
    if labels.shape != volume.hu.shape or labels.dtype != np.uint8 or labels.max() > len(SUBTYPES):
        raise ValueError(
            f"labels must be uint8 0 ... {len(SUBTYPES)} on the source grid {volume.hu.shape}:"
            f" {labels.dtype} {labels.shape}, highest {labels.max()}"
        )
    missing = {ANY, *KEYS} - probabilities.keys()
    if missing:
        raise ValueError(f"the model gave no probability for {sorted(missing)}")
    masks = [(ANY, labels > 0)] + [(s.key, labels == s.segment_number) for s in SUBTYPES]
    return tuple(
        Finding(key, float(probabilities[key]), volume.volume_ml(mask), bool(mask.any()))
        for key, mask in masks
    )
