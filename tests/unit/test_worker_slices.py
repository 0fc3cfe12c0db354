"""Reading a series: order, geometry, and what is refused."""

import contextlib
import random
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.encaps import encapsulate
from pydicom.uid import DeflatedExplicitVRLittleEndian, JPEGBaseline8Bit

from schema.errors import (
    GeometryError,
    PixelError,
    SourceFileMissingError,
    TriageError,
    UnreadableObjectError,
    UnsuitableSeriesError,
)
from tests.support.phantoms import (
    BLOOD_HU,
    EMERGENCY,
    FEW_MM,
    REGULAR_MM,
    SPHERE_ML,
    THIN_THEN_THICK_MM,
    Phantom,
    element,
    ge_series,
    write,
)
from tests.support.wording import is_plain
from worker.slices import read_series


def sphere_ml(paths: list[Path]) -> float:
    volume = read_series(paths).volume
    return volume.volume_ml(volume.hu > BLOOD_HU / 2)


@pytest.mark.parametrize(
    "phantom",
    [
        pytest.param(Phantom(), id="regular"),
        pytest.param(Phantom(tilt_degrees=20), id="tilted"),
        pytest.param(Phantom(tilt_degrees=-20), id="tilted-back"),
        pytest.param(Phantom(THIN_THEN_THICK_MM), id="thin-then-thick"),
        pytest.param(Phantom(THIN_THEN_THICK_MM, tilt_degrees=20), id="tilted-thin-then-thick"),
        pytest.param(Phantom(reversed=True), id="reversed"),
        pytest.param(Phantom(REGULAR_MM[::-1]), id="from-above"),
        pytest.param(Phantom(tilt_degrees=20, mirrored=True), id="mirrored"),
    ],
)
def test_a_sphere_has_its_volume_within_two_percent(phantom: Phantom, tmp_path: Path) -> None:
    assert sphere_ml(phantom.write(tmp_path)) == pytest.approx(SPHERE_ML, rel=0.02)


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_arrival_changes_nothing(seed: int, tmp_path: Path) -> None:
    paths = Phantom(THIN_THEN_THICK_MM, tilt_degrees=20).write(tmp_path)
    shuffled = random.Random(seed).sample(paths, len(paths))
    first, second = read_series(paths), read_series(shuffled)
    assert np.array_equal(first.volume.hu, second.volume.hu)
    assert first.volume.sop_instance_uids == second.volume.sop_instance_uids


def test_a_missing_slice_is_flagged_and_not_filled(tmp_path: Path) -> None:
    positions = [position for position in REGULAR_MM if position != 0]
    paths = Phantom(positions).write(tmp_path)
    assert [gap.distance_mm for gap in read_series(paths).volume.gaps] == pytest.approx([5])
    assert sphere_ml(paths) < SPHERE_ML * 0.98


def test_the_tilt_is_the_angle_between_normal_and_table(tmp_path: Path) -> None:
    volume = read_series(Phantom(FEW_MM, tilt_degrees=18.5).write(tmp_path)).volume
    assert volume.tilt_degrees == pytest.approx(18.5, abs=1e-4)


def test_an_oblique_stack_along_its_normal_has_no_tilt(tmp_path: Path) -> None:
    phantom = Phantom(FEW_MM, tilt_degrees=20)
    datasets = phantom.datasets
    normal = np.cross(*phantom.orientation)
    for ds, position in zip(datasets, FEW_MM, strict=True):
        ds.ImagePositionPatient = [round(float(x), 6) for x in normal * position]
    assert read_series(write(datasets, tmp_path)).volume.tilt_degrees == pytest.approx(0, abs=1e-3)


def test_slices_are_sorted_by_position_not_by_instance_number(tmp_path: Path) -> None:
    source = read_series(Phantom(FEW_MM, reversed=True).write(tmp_path))
    assert [header.InstanceNumber for header in source.headers] == [4, 3, 2, 1]
    assert source.volume.slice_position_mm == pytest.approx(FEW_MM)


def test_mirrored_slices_rise_towards_the_head_with_the_pixels_of_their_own(tmp_path: Path) -> None:
    phantom = Phantom(FEW_MM, rescale=lambda index: (1.0, -1000.0 - index), mirrored=True)
    volume = read_series(phantom.write(tmp_path)).volume
    assert volume.slice_position_mm == pytest.approx(FEW_MM)
    assert volume.sop_instance_uids == tuple(ds.SOPInstanceUID for ds in phantom.datasets)
    assert all(np.array_equal(volume.hu[n], phantom.hu(n)) for n in range(len(FEW_MM)))


def test_headers_follow_the_order_of_the_volume_and_hold_no_pixels(tmp_path: Path) -> None:
    source = read_series(Phantom(FEW_MM).write(tmp_path)[::-1])
    uids = tuple(header.SOPInstanceUID for header in source.headers)
    assert uids == source.volume.sop_instance_uids
    assert not any("PixelData" in header for header in source.headers)


def test_what_emergency_patients_lack_is_empty(tmp_path: Path) -> None:
    (header, *_) = read_series(Phantom(FEW_MM, without=EMERGENCY).write(tmp_path)).headers
    assert header.PatientName == header.AccessionNumber == header.StudyDate == ""


@pytest.mark.parametrize(
    ("keyword", "value"),
    [("PatientBirthDate", "unknown"), ("PatientSex", "?"), ("StudyTime", "noon")],
)
def test_an_unreadable_patient_attribute_is_empty(keyword: str, value: str, tmp_path: Path) -> None:
    (header, *_) = read_series(Phantom(FEW_MM, changes={keyword: value}).write(tmp_path)).headers
    assert header[keyword].value == ""


@pytest.mark.parametrize(
    ("keyword", "value", "message"),
    [
        ("ImagePositionPatient", ["nan", "0", "0"], "not 3 finite numbers"),
        ("ImagePositionPatient", ["0", "0"], "not 3 finite numbers"),
        ("ImagePositionPatient", ["0", "0", "1e300"], "not 3 finite numbers"),
        ("ImageOrientationPatient", ["1", "0", "0", "0", "nan", "0"], "not 6 finite numbers"),
        ("ImageOrientationPatient", ["1", "0", "0", "1", "0", "0"], "perpendicular"),
        ("ImageOrientationPatient", ["1", "0", "0", "0", "0", "1"], "differ in orientation"),
        ("PixelSpacing", ["inf", "1"], "not 2 finite numbers"),
        ("PixelSpacing", ["0", "1"], "is not above 0"),
        ("PixelSpacing", ["1", "1"], "differ in pixel spacing"),
        ("FrameOfReferenceUID", "1.2.4", "differ in FrameOfReferenceUID"),
        ("SeriesInstanceUID", "1.2.4", "differ in SeriesInstanceUID"),
        ("Rows", 32, "differ in Rows"),
    ],
)
def test_geometry_that_is_no_stack_is_refused(
    keyword: str, value: object, message: str, tmp_path: Path
) -> None:
    datasets = Phantom(FEW_MM).datasets
    datasets[2][keyword] = element(keyword, value)
    with pytest.raises(GeometryError, match=message):
        read_series(write(datasets, tmp_path))


def test_half_a_correction_of_the_patient_is_refused(tmp_path: Path) -> None:
    datasets = Phantom(FEW_MM).datasets
    datasets[2].PatientID = "P2"
    with pytest.raises(UnsuitableSeriesError, match="different Patient IDs; send the whole series"):
        read_series(write(datasets, tmp_path))


@pytest.mark.parametrize("patient_id", ["", "p-1", "0P1^^^HOSP", "UNKNOWN"])
def test_one_patient_id_in_several_spellings_is_one_patient(
    patient_id: str, tmp_path: Path
) -> None:
    datasets = Phantom(FEW_MM).datasets
    datasets[2].PatientID = patient_id
    assert len(read_series(write(datasets, tmp_path)).headers) == len(FEW_MM)


@pytest.mark.parametrize("keyword", ["ImagePositionPatient", "PixelSpacing"])
def test_missing_geometry_is_refused(keyword: str, tmp_path: Path) -> None:
    with pytest.raises(GeometryError, match=f"{keyword} is missing"):
        read_series(Phantom(FEW_MM, without=[keyword]).write(tmp_path))


def test_one_slice_is_no_stack(tmp_path: Path) -> None:
    with pytest.raises(GeometryError, match="two or more"):
        read_series(Phantom([0.0]).write(tmp_path))


def test_no_slice_is_no_stack() -> None:
    with pytest.raises(GeometryError, match="without files"):
        read_series([])


def test_doubled_positions_are_refused_with_both_instances(tmp_path: Path) -> None:
    with pytest.raises(GeometryError, match=r"1\.2\.3\.1\.2 .* and .* 1\.2\.3\.1\.3 .* same pos"):
        read_series(Phantom([0.0, 5.0, 5.0, 10.0]).write(tmp_path))


def test_an_instance_that_comes_twice_is_refused(tmp_path: Path) -> None:
    paths = Phantom(FEW_MM).write(tmp_path)
    with pytest.raises(GeometryError, match="in two files"):
        read_series([*paths, paths[0]])


def test_a_missing_file_is_worth_another_try(tmp_path: Path) -> None:
    paths = Phantom(FEW_MM).write(tmp_path)
    with pytest.raises(SourceFileMissingError, match=r"gone\.dcm"):
        read_series([*paths, tmp_path / "gone.dcm"])


@pytest.mark.parametrize("content", [b"", b"no DICOM", b"\0" * 128 + b"DICM" + b"\xff" * 99])
def test_a_file_that_is_no_dicom_is_refused(content: bytes, tmp_path: Path) -> None:
    paths = Phantom(FEW_MM).write(tmp_path)
    paths[1].write_bytes(content)
    with pytest.raises(UnreadableObjectError) as refused:
        read_series(paths)
    assert "001.dcm" in refused.value.detail
    assert is_plain(str(refused.value))


def test_a_deflated_object_is_refused_before_it_inflates(tmp_path: Path) -> None:
    datasets = Phantom(FEW_MM).datasets
    datasets[0].file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    with pytest.raises(PixelError, match="Deflated Explicit VR Little Endian"):
        read_series(write(datasets, tmp_path))


def test_an_object_compressed_with_loss_is_refused(tmp_path: Path) -> None:
    datasets = Phantom(FEW_MM).datasets
    datasets[0].file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    datasets[0].PixelData = encapsulate([b"picture!"])
    with pytest.raises(PixelError, match="JPEG Baseline"):
        read_series(write(datasets, tmp_path))


def test_an_object_that_is_no_ct_is_refused(tmp_path: Path) -> None:
    datasets = Phantom(FEW_MM).datasets
    for ds in datasets:
        ds.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    with pytest.raises(UnsuitableSeriesError, match="no CT image"):
        read_series(write(datasets, tmp_path))


def test_no_message_names_the_patient(tmp_path: Path) -> None:
    with pytest.raises(GeometryError) as caught:
        read_series(Phantom([0.0, 5.0, 5.0]).write(tmp_path))
    assert "Phantom" not in str(caught.value)


@pytest.fixture(scope="module")
def intact(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return Phantom(FEW_MM, size=16).write(tmp_path_factory.mktemp("intact"))


damage = st.lists(st.tuples(st.integers(0, 1700), st.binary(max_size=8)), min_size=1, max_size=4)


@pytest.mark.filterwarnings("ignore")  # pydicom warns of every second file, rightly
@given(damage)
def test_a_damaged_file_is_read_or_refused_but_never_a_crash(
    intact: list[Path], places: list[tuple[int, bytes]]
) -> None:
    content = bytearray(intact[0].read_bytes())
    for place, replacement in places:
        content[place : place + max(1, len(replacement))] = replacement
    with tempfile.NamedTemporaryFile(suffix=".dcm") as file:
        file.write(content)
        file.flush()
        with contextlib.suppress(TriageError):
            read_series([Path(file.name), *intact[1:]])


def test_a_real_ge_series_keeps_its_tilt() -> None:
    assert read_series(ge_series()).volume.tilt_degrees == pytest.approx(18.5, abs=0.01)


def test_a_real_ge_series_keeps_its_uneven_slices() -> None:
    volume = read_series(ge_series()).volume
    tilted = np.cos(np.radians(18.5))  # the table steps 4.22, 1.14, then 7.38 mm
    expected = [4.22] * 13 + [(4.22 + 1.14) / 2, (1.14 + 7.38) / 2] + [7.38] * 13
    assert volume.slice_heights_mm == pytest.approx(np.array(expected) * tilted, abs=0.01)
    assert volume.gaps == ()
