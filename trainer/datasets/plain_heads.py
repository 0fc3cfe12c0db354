"""Which CT series show what the model learns from, as far as their headers say it for certain.

The receiver's selection, which reads names and kernels too, is not on a host that trains.
"""

from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
from pydicom.dataset import Dataset

from worker.slices import Stack

STEEPEST_DEGREES: Final = 30.5  # off the patient's long axis; a gantry tilts by 30
FEWEST_SLICES: Final = 8
HEAD_MM: Final = (60.0, 350.0)  # from the first to the last slice
# What a Body Part Examined of a head has in it, in the languages of its scanners.
HEAD: Final = (
    "HEAD", "BRAIN", "SKULL", "CRAN", "KRAN", "CEREB", "ENCE", "NEURO", "KOPF", "SCHADEL",
    "SCHAEDEL", "HIRN", "TETE", "CABE", "TESTA", "CAPO", "HOOFD", "SCHEDEL",
)  # fmt: skip
CONTRAST: Final = (
    "ContrastBolusAgent",
    "ContrastBolusStartTime",
    "ContrastBolusAgentSequence",  # of an Enhanced CT
)
NO_AGENT: Final = ("NO", "NONE", "NO CONTRAST", "WITHOUT CONTRAST")


def unsuited(headers: Sequence[Dataset], stack: Stack, has_mask: bool) -> str:
    """Say why a series can't teach, "": it can; with a mask it may show more than a plain head."""
    return _no_axial_slices(headers, stack) or ("" if has_mask else _no_plain_head(headers, stack))


def _no_axial_slices(headers: Iterable[Dataset], stack: Stack) -> str:
    if any("LOCALIZER" in _words(header, "ImageType") for header in headers):
        return "it is a localizer by its Image Type"
    degrees = float(np.degrees(np.arccos(np.clip(stack.frames[0].normal[2], -1, 1))))
    if degrees > STEEPEST_DEGREES:
        return f"its slices are not axial, {degrees:.0f} degrees off the patient's long axis"
    return ""


def _no_plain_head(headers: Sequence[Dataset], stack: Stack) -> str:
    for header in headers:
        agents = {" ".join(_words(header, keyword)) for keyword in CONTRAST}
        if agents - {"", *NO_AGENT}:
            return "a contrast agent was given"
        part = " ".join(_words(header, "BodyPartExamined"))
        if part and not any(word in part for word in HEAD):
            return f"its Body Part Examined is {part}"
    extent_mm = float(np.ptp(stack.slice_position_mm))
    if len(stack.frames) < FEWEST_SLICES or not HEAD_MM[0] <= extent_mm <= HEAD_MM[1]:
        return f"its {len(stack.frames)} slices over {extent_mm:.0f} mm are no whole head"
    return ""


def _words(header: Dataset, keyword: str) -> list[str]:
    """Give the values of an attribute in capitals, none where it is missing or empty."""
    value = header.get(keyword)
    values = [value] if isinstance(value, str) else value or []
    return [str(word).strip().upper() for word in values if str(word).strip()]
