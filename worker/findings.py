"""What was found: a volume and a score for each type of hemorrhage, and for any of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from schema.hemorrhage_subtypes import ANY, KEYS, SUBTYPES, Claim
from worker.volume import Volume

LEAST_ML: Final = 0.05  # less is a speck of a few pixels: measured, and no finding


@dataclass(frozen=True)
class Finding:
    """One type of hemorrhage in one study.

    Attributes
    ----------
    subtype
        `any`, or a key of `schema.hemorrhage_subtypes`.
    probability
        The model's score for the study, 0 ... 1.
    volume_ml
        Volume of its final mask.
    present
        Whether that is LEAST_ML or more.
    claim
        What the model may say of the type. Blood of a type that is not told apart counts in the
        total alone.
    """

    subtype: str
    probability: float
    volume_ml: float
    present: bool
    claim: Claim

    @property
    def is_told(self) -> bool:
        """Whether its type may be named, be it as a hint."""
        return self.claim is not Claim.NOT_TOLD_APART

    @property
    def is_certain(self) -> bool:
        """Whether its type may be named without a doubt."""
        return self.claim is Claim.REPORTED

    def __post_init__(self) -> None:
        """Refuse what no model and no mask can give; NaN above all."""
        if self.subtype not in (ANY, *KEYS):
            raise ValueError(f"{self.subtype!r} is none of {(ANY, *KEYS)}")
        if not 0 <= self.probability <= 1:
            raise ValueError(f"{self.subtype}: probability {self.probability} is not in 0 ... 1")
        if not 0 <= self.volume_ml < float("inf"):
            raise ValueError(f"{self.subtype}: {self.volume_ml} mL is no volume")


def measure(
    volume: Volume,
    labels: npt.NDArray[np.uint8],
    probabilities: Mapping[str, float],
    claims: Mapping[str, Claim],
) -> tuple[Finding, ...]:
    """Measure each type on the source grid.

    Parameters
    ----------
    volume
        The series, with its true geometry.
    labels
        (slice, row, column) segment numbers of `schema.hemorrhage_subtypes`, 0 for none.
    probabilities
        The study's score for each type and for `any`.
    claims
        What the model may say of each type; one that is missing is not told apart.

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
        _finding(key, float(probabilities[key]), volume.volume_ml(mask), claims)
        for key, mask in masks
    )


def _finding(
    key: str, probability: float, volume_ml: float, claims: Mapping[str, Claim]
) -> Finding:
    claim = Claim.REPORTED if key == ANY else Claim(claims.get(key, Claim.NOT_TOLD_APART))
    return Finding(key, probability, volume_ml, volume_ml >= LEAST_ML, claim)
