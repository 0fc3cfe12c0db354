"""Headers of real scanners and of real objects: the GE sample, and a multi-frame Enhanced CT."""

import os
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from receiver.instance.header import read_header
from receiver.selection.images import select_images
from receiver.selection.rules import load_rules
from tests.support.phantoms import Phantom
from tests.support.series import headers

RULES = load_rules()
DATA = Path(
    os.environ.get("IHSNET_TEST_DATA", Path(__file__).parents[2].parent / "shared" / "data")
)
GE = DATA / "ge-head-ct"
HEAD_MM = tuple(index * 5.0 for index in range(30))


def enhanced() -> Dataset:
    changes = {"SeriesDescription": "Head", "PatientName": "Doe^Jane"}
    ds = Phantom(HEAD_MM, size=16, changes=changes).enhanced
    measures = ds.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    measures.PixelSpacing = [0.45, 0.45]
    return ds


@pytest.mark.skipif(not GE.exists(), reason="the GE sample is not here")
def test_the_tilted_uneven_ge_series_is_eligible_as_it_is() -> None:
    selection = select_images([read_header(path) for path in sorted(GE.glob("*.dcm"))], RULES)
    assert selection.score is not None
    assert "soft kernel STD+" in selection.reason
    assert not selection.left_out


def test_a_multi_frame_enhanced_ct_is_eligible() -> None:
    selection = select_images(headers([enhanced()]), RULES)
    assert selection.score is not None
    assert "5 mm steps" in selection.reason
    assert "30 slices" in selection.reason


def test_the_kernel_of_an_enhanced_ct_is_read_from_its_functional_groups() -> None:
    ds = enhanced()
    kernel = Dataset()
    kernel.ConvolutionKernel = "H70h"
    ds.SharedFunctionalGroupsSequence[0].CTReconstructionSequence = [kernel]
    assert select_images(headers([ds]), RULES).reason == "sharp kernel H70h"


def test_frames_at_one_position_refuse_an_enhanced_ct() -> None:
    ds = enhanced()
    groups = ds.PerFrameFunctionalGroupsSequence
    groups[1].PlanePositionSequence = groups[0].PlanePositionSequence
    assert select_images(headers([ds]), RULES).reason.startswith("several images at one position")


def test_of_two_multi_frame_objects_at_the_same_positions_one_is_analysed() -> None:
    second = enhanced()
    second.SOPInstanceUID = second.file_meta.MediaStorageSOPInstanceUID = "1.2.3.77"
    selection = select_images(headers([enhanced(), second]), RULES)
    assert selection.score is not None
    assert len(selection.left_out) == 1
