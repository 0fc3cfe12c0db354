"""From labels and scores to findings."""

import numpy as np
import pytest

from schema.hemorrhage_subtypes import ANY, KEYS, Claim
from worker.findings import Finding, measure
from worker.volume import Volume

VOLUME = Volume(np.zeros((3, 4, 4), np.float32), np.array([0, 5, 10.0]), (2.0, 1.0))
SCORES = {ANY: 0.9, "EDH": 0.8, "IPH": 0.1, "IVH": 0.0, "SAH": 0.3, "SDH": 0.2}
VOXEL_ML = 2 * 1 * 5 / 1000  # 0.01 mL
CLAIMS = {"EDH": Claim.REPORTED, "SDH": Claim.HINTED}


def labels(**counts: int) -> np.ndarray:
    """Labels with that many voxels of each type."""
    flat = np.zeros(VOLUME.hu.size, np.uint8)
    start = 0
    for key, count in counts.items():
        flat[start : start + count] = KEYS.index(key) + 1
        start += count
    return flat.reshape(VOLUME.hu.shape)


def test_any_comes_first_and_then_the_types_in_their_order() -> None:
    found = measure(VOLUME, labels(), SCORES, CLAIMS)
    assert tuple(finding.subtype for finding in found) == (ANY, *KEYS)


def test_each_type_is_measured_by_its_own_voxels() -> None:
    found = {f.subtype: f for f in measure(VOLUME, labels(EDH=7, SDH=5), SCORES, CLAIMS)}
    assert [f.volume_ml / VOXEL_ML for f in found.values()] == pytest.approx([12, 7, 0, 0, 0, 5])
    assert [key for key, finding in found.items() if finding.present] == [ANY, "EDH", "SDH"]


def test_each_type_keeps_its_own_score() -> None:
    found = measure(VOLUME, labels(EDH=1), SCORES, CLAIMS)
    assert {finding.subtype: finding.probability for finding in found} == SCORES


def test_any_is_the_sum_of_the_types() -> None:
    (any_type, *_) = measure(VOLUME, labels(EDH=7, SDH=5), SCORES, CLAIMS)
    assert any_type.volume_ml == pytest.approx(12 * VOXEL_ML)


def test_a_high_score_without_a_voxel_is_not_present() -> None:
    assert not any(finding.present for finding in measure(VOLUME, labels(), SCORES, CLAIMS))


@pytest.mark.parametrize(("voxels", "present"), [(4, False), (5, True)])
def test_less_than_a_twentieth_of_a_millilitre_is_no_finding(voxels: int, present: bool) -> None:
    (any_type, epidural, *_) = measure(VOLUME, labels(EDH=voxels), SCORES, CLAIMS)
    assert any_type.present is epidural.present is present
    assert epidural.volume_ml == pytest.approx(voxels * VOXEL_ML)


def test_a_type_that_the_card_does_not_name_is_not_told_apart() -> None:
    found = {f.subtype: f.claim for f in measure(VOLUME, labels(), SCORES, CLAIMS)}
    assert found == {
        ANY: Claim.REPORTED,
        "EDH": Claim.REPORTED,
        "IPH": Claim.NOT_TOLD_APART,
        "IVH": Claim.NOT_TOLD_APART,
        "SAH": Claim.NOT_TOLD_APART,
        "SDH": Claim.HINTED,
    }


def test_a_label_beyond_the_five_types_is_refused() -> None:
    with pytest.raises(ValueError, match="highest 6"):
        measure(VOLUME, np.full(VOLUME.hu.shape, 6, np.uint8), SCORES, CLAIMS)


def test_labels_of_another_grid_are_refused() -> None:
    with pytest.raises(ValueError, match="source grid"):
        measure(VOLUME, np.zeros((3, 2, 2), np.uint8), SCORES, CLAIMS)


def test_a_missing_score_is_refused() -> None:
    with pytest.raises(ValueError, match="no probability for"):
        measure(VOLUME, labels(), {ANY: 0.5}, CLAIMS)


@pytest.mark.parametrize("probability", [float("nan"), -0.1, 1.1])
def test_a_score_that_is_no_probability_is_refused(probability: float) -> None:
    with pytest.raises(ValueError, match="is not in 0"):
        Finding("EDH", probability, 0.0, False, Claim.REPORTED)
