"""Real plain heads as volumes, and what tests do to them: CT-ICH and the GE series."""

import os
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from tests.support.phantoms import ge_series
from trainer.datasets.slices import Release
from trainer.datasets.sources import read_release
from trainer.datasets.stored import read_stored
from worker.slices import read_series as read_dicom
from worker.volume import Volume

SHARED = Path(os.environ.get("IHSNET_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))


@cache
def release() -> Release:
    """Index CT-ICH, or skip the test."""
    folder = SHARED / "ct-ich"
    if not folder.is_dir():
        pytest.skip("CT-ICH is not here; set IHSNET_TEST_DATA to the folder that holds ct-ich")
    return read_release(folder)


def ctich(patient: int) -> Volume:
    """One patient as a scanner's 512 x 512 slices."""
    return read_stored(release().of(patient))


def ge_head() -> Volume:
    """Read the GE series, with its tilt and uneven steps."""
    return read_dicom(ge_series()).volume


def kept(head: Volume, indices: Sequence[int] | npt.NDArray[np.intp]) -> Volume:
    """Leave out all other slices."""
    places = head.slice_position_mm[indices]
    return replace(head, hu=head.hu[indices], slice_position_mm=places, **_no_sources())


def without_middle(head: Volume, count: int) -> Volume:
    """Leave out slices in the middle of a head."""
    first = (len(head.hu) - count) // 2
    return kept(head, np.delete(np.arange(len(head.hu)), slice(first, first + count)))


def with_removed_vault(head: Volume, degrees: float = 110.0) -> Volume:
    """Take the bone off one side, as surgeons do when the brain swells."""
    hu = head.hu.copy()
    y, x = np.mgrid[: hu.shape[1], : hu.shape[2]]
    y, x = y - hu.shape[1] / 2, x - hu.shape[2] / 2
    side = np.abs(np.degrees(np.arctan2(y, -x))) < degrees / 2
    hu[:, side & (np.hypot(x, y) < 220)] = np.minimum(hu[:, side & (np.hypot(x, y) < 220)], 40)
    return replace(head, hu=hu)


def sharpened(head: Volume, noise_hu: float = 60.0) -> Volume:
    """Give a head the noise of a bone kernel, which changes from pixel to pixel."""
    noise = np.random.default_rng(5).normal(0, noise_hu, head.hu.shape)
    return replace(head, hu=(head.hu + noise).astype(np.float32))


def thinned(head: Volume, parts: int) -> Volume:
    """Cut each slice into thinner ones, with a soft kernel's noise of their own."""
    rng = np.random.default_rng(6)
    hu = np.repeat(head.hu, parts, axis=0)
    for frame in hu:
        frame += 4 * cv2.GaussianBlur(rng.normal(0, 10, frame.shape).astype(np.float32), (0, 0), 2)
    ends = np.arange(len(head.hu) * parts) / parts
    places = np.interp(ends, np.arange(len(head.hu)), head.slice_position_mm)
    places[-parts:] = places[-parts] + np.arange(parts) * (places[1] - places[0])
    return replace(head, hu=hu, slice_position_mm=places, **_no_sources())


def _no_sources() -> dict[str, tuple[()]]:
    return {"sop_instance_uids": (), "frame_numbers": ()}
