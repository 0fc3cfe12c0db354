import numpy as np
import pytest

from trainer.evaluation.perturb import Head, overlapping, thickness
from worker.munet.resampled import scanned
from worker.munet.slab import slabs

POSITIONS_MM = np.arange(12) * 5.0


@pytest.fixture
def head():
    """Slices of their own noise, with a vertex of bone that tapers."""
    hu = np.random.default_rng(0).normal(36, 5, (12, 48, 48)).astype(np.float32)
    for index, frame in enumerate(hu):
        frame[: 4 * index // 3], frame[:, : index // 2] = 900, -1000
    return Head(hu, POSITIONS_MM)


def at(head, laid):
    laid, count = np.asarray(laid), len(laid)
    mixed = [np.interp(laid, head.slice_position_mm, voxel) for voxel in head.hu.reshape(12, -1).T]
    return Head(np.stack(mixed, 1).reshape(count, 48, 48).astype(np.float32), laid)


def ends_kept(head):
    return at(head, np.linspace(head.slice_position_mm[0], head.slice_position_mm[-1], 45))


def first_kept(head):
    return at(head, np.arange(0, head.slice_position_mm[-1], 1.5))


def last_kept(head):
    return at(head, np.arange(head.slice_position_mm[-1], 0, -1.5)[::-1])


@pytest.mark.parametrize(
    "resample",
    [
        thickness(2.5),
        thickness(1.25),
        thickness(0.625),
        overlapping,
        ends_kept,
        first_kept,
        last_kept,
    ],
)
def test_slices_that_were_interpolated_between_are_found_again(head, resample):
    thin = resample(head)
    stored = np.rint(thin.hu).astype(np.int16)  # as a file holds them
    found = scanned(stored, thin.slice_position_mm)
    assert found.slice_position_mm == pytest.approx(POSITIONS_MM)
    assert found.hu == pytest.approx(head.hu, abs=2)


def test_the_network_is_given_the_slices_that_were_scanned(head):
    thin = thickness(1.25)(head)
    made = slabs(thin.hu, thin.slice_position_mm, 5.0)
    assert made.hu == pytest.approx(head.hu, abs=0.5)
    assert made.nearest.tolist() == [index for index in range(12) for _ in range(4)]


def test_what_was_interpolated_from_thin_slices_is_averaged_as_those_are():
    hu = np.random.default_rng(0).normal(36, 8, (24, 32, 32)).astype(np.float32)
    thin = Head(hu, np.arange(24) * 2.5)
    made = [slabs(part.hu, part.slice_position_mm, 5.0) for part in (thin, thickness(1.25)(thin))]
    assert made[1].slice_position_mm == pytest.approx(made[0].slice_position_mm)
    assert made[1].hu == pytest.approx(made[0].hu, abs=0.5)


def overlapped(noise):
    return (noise[:-1] + noise[1:]) / 2  # half of each slice is its neighbour's


def denoised(noise):
    padded = np.pad(noise, ((2, 2), (0, 0), (0, 0)))
    return sum(padded[index : index + len(noise)] for index in range(5)) / 5


@pytest.mark.parametrize("scan", [lambda noise: noise, overlapped, denoised])
def test_a_scan_of_its_own_stays(scan):
    hu = 36 + scan(np.random.default_rng(0).normal(0, 12, (60, 32, 32)))
    assert scanned(hu.astype(np.float32), np.arange(len(hu)) * 1.0) is None


@pytest.mark.parametrize(
    "hu",
    [
        pytest.param(np.full((40, 32, 32), 36.0), id="flat"),
        pytest.param(36.0 + np.arange(40)[:, None, None] * np.ones((32, 32)), id="a slope"),
        pytest.param(np.full((40, 32, 32), -1000.0), id="air"),
        pytest.param(np.full((2, 32, 32), 36.0), id="two slices"),
    ],
)
def test_nothing_is_made_of_what_any_slices_would_explain(hu):
    assert scanned(hu, np.arange(len(hu)) * 1.0) is None


def test_voxels_without_a_number_end_no_analysis(head):
    thin = thickness(1.25)(head)
    thin.hu[0, 20:30] = np.nan
    assert scanned(thin.hu, thin.slice_position_mm).slice_position_mm == pytest.approx(POSITIONS_MM)
    thin.hu[-1] = np.nan
    assert scanned(thin.hu, thin.slice_position_mm) is None


def test_slices_with_noise_of_their_own_are_a_scan_whatever_they_were_made_of(head):
    thin = thickness(1.25)(head)
    noise = np.random.default_rng(1).normal(0, 3, thin.hu.shape)
    assert scanned(thin.hu + noise, thin.slice_position_mm) is None
