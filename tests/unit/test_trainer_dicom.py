"""DICOM CT and its Segmentations, ours and others', come out as slices with their types."""

import copy

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.pixels.utils import pack_bits
from pydicom.uid import generate_uid

from tests.support.labelled import BLOOD, kinds, make_dicom, mixed
from tests.support.phantoms import SPACING_MM
from trainer.datasets.sources import (
    DataError,
    read_hu,
    read_kinds,
    read_mask,
    read_release,
    read_series,
)


def own_seg(folder):
    """Find the Segmentation that make_dicom wrote."""
    (path,) = (folder / "seg").glob("*.dcm")
    return path


def read_labels(folder):
    return np.stack([np.asarray(read_kinds(s)) for s in read_release(folder).slices])


def test_the_systems_own_segmentation_is_read_back(tmp_path):
    labels = mixed()
    slices = read_release(make_dicom(tmp_path, labels)).slices
    assert np.array_equal(np.stack([np.asarray(read_kinds(s)) for s in slices]), labels)
    assert read_hu(slices[0]).min() < -900
    assert read_mask(slices[1]).sum() == labels[1].astype(bool).sum()


def test_a_segmentation_lies_on_thin_tilted_reversed_slices(tmp_path):
    labels = kinds(12, blood=(slice(4, 8), 4))
    make_dicom(tmp_path, labels, step_mm=1.25, tilt_degrees=15.0, reversed=True)
    slices = read_release(tmp_path).slices
    assert [s.positive for s in slices] == [False, True, False]
    assert read_kinds(slices[1])[BLOOD].all()


def slanted():
    """Blood that no turn lays on itself."""
    labels = kinds(3)
    labels[1, 10:30, 20:24], labels[2, 10:14, 20:40] = 1, 5
    return labels


@pytest.mark.parametrize("turns", [1, 2, 3], ids=["left", "prone", "right"])
def test_a_head_on_its_face_or_side_is_read_with_the_face_up(tmp_path, turns):
    make_dicom(tmp_path / "up", slanted(), skull=True)
    make_dicom(tmp_path / "down", slanted(), turns=turns, skull=True)
    up, down = (read_release(tmp_path / name).slices for name in ("up", "down"))
    assert np.array_equal(read_labels(tmp_path / "down"), slanted())
    assert np.array_equal(read_series(down)[0], read_series(up)[0])


@pytest.mark.parametrize("enhanced", [False, True])
@pytest.mark.parametrize("form", ["BINARY", "LABELMAP"])
@pytest.mark.parametrize(
    "scanned", [{}, {"tilt_degrees": 15.0, "reversed": True}, {"mirrored": True}]
)
def test_what_lies_on_its_slices_is_read_as_it_is(tmp_path, enhanced, form, scanned):
    make_dicom(tmp_path, slanted(), enhanced=enhanced, form=form, **scanned)
    assert np.array_equal(read_labels(tmp_path), slanted())


def turned(path, rows, columns):
    """Write a Segmentation's rows or columns the other way, as its own geometry then says."""
    seg = dcmread(path)
    shared = seg.SharedFunctionalGroupsSequence[0]
    orientation = shared.PlaneOrientationSequence[0]
    axes = np.array(orientation.ImageOrientationPatient, float).reshape(2, 3)
    spacing = np.array(shared.PixelMeasuresSequence[0].PixelSpacing, float)
    to_last = [(seg.Columns - 1) * spacing[1], (seg.Rows - 1) * spacing[0]] * axes.T  # (3, axis)
    step = to_last @ [columns < 0, rows < 0]
    for frame in seg.PerFrameFunctionalGroupsSequence:
        place = frame.PlanePositionSequence[0]
        place.ImagePositionPatient = [*(np.array(place.ImagePositionPatient, float) + step)]
    orientation.ImageOrientationPatient = [*(axes * [[columns], [rows]]).ravel()]
    pixels = seg.pixel_array[:, ::rows, ::columns]
    seg.PixelData = pack_bits(np.ascontiguousarray(pixels).ravel(), pad=True)
    seg.save_as(path)


@pytest.mark.parametrize("enhanced", [False, True])
@pytest.mark.parametrize(("rows", "columns"), [(-1, 1), (1, -1), (-1, -1)])
def test_a_mask_whose_rows_or_columns_run_the_other_way_is_turned(
    tmp_path, enhanced, rows, columns
):
    make_dicom(tmp_path, slanted(), enhanced=enhanced, tilt_degrees=15.0)
    turned(own_seg(tmp_path), rows, columns)
    assert np.array_equal(read_labels(tmp_path), slanted())


def shared_group(seg, sequence):
    return seg.SharedFunctionalGroupsSequence[0][sequence].value[0]


def rotate(seg):
    orientation = shared_group(seg, "PlaneOrientationSequence")
    angle = np.radians(0.6)
    orientation.ImageOrientationPatient = [
        *(round(float(value), 8) for value in (np.cos(angle), np.sin(angle), 0)),
        *(round(float(value), 8) for value in (-np.sin(angle), np.cos(angle), 0)),
    ]


def move(seg):
    place = seg.PerFrameFunctionalGroupsSequence[-1].PlanePositionSequence[0]
    x, y, z = place.ImagePositionPatient
    place.ImagePositionPatient = [x + 0.6 * SPACING_MM, y, z]


def widen(seg):
    shared_group(seg, "PixelMeasuresSequence").PixelSpacing = [SPACING_MM, SPACING_MM * 1.01]


def turn_one(seg):
    """Give each frame an orientation of its own, and let the last one's rows run to the right."""
    orientation = shared_group(seg, "PlaneOrientationSequence")
    del seg.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence
    frames = seg.PerFrameFunctionalGroupsSequence
    for frame in frames:
        frame.PlaneOrientationSequence = [copy.deepcopy(orientation)]
    frames[-1].PlaneOrientationSequence[0].ImageOrientationPatient[0] = -1
    place = frames[-1].PlanePositionSequence[0]
    place.ImagePositionPatient[0] += (seg.Columns - 1) * SPACING_MM


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (rotate, "frame 1 is turned against its slice"),
        (move, "frame 2 lies 1.5 mm from its slice"),
        (widen, "frame 1 has another Pixel Spacing"),
        (turn_one, "its frames run different ways"),
    ],
)
def test_a_mask_that_lies_elsewhere_than_its_slices_is_refused_by_name(tmp_path, spoil, reason):
    make_dicom(tmp_path, slanted())
    path = own_seg(tmp_path)
    seg = dcmread(path)
    spoil(seg)
    seg.save_as(path)
    with pytest.raises(DataError, match=f"{path.name}.*{reason}.*save the Segmentation again"):
        read_release(tmp_path)


def test_what_a_mask_leaves_out_of_its_place_is_its_slices(tmp_path):
    make_dicom(tmp_path, slanted())
    path = own_seg(tmp_path)
    seg = dcmread(path)
    shared = seg.SharedFunctionalGroupsSequence[0]
    del shared.PlaneOrientationSequence, shared.PixelMeasuresSequence
    seg.save_as(path)
    assert np.array_equal(read_labels(tmp_path), slanted())


def test_a_mask_that_nobody_corrected_is_no_truth(tmp_path):
    with pytest.raises(DataError, match="this system's own, with no segment marked as corrected"):
        read_release(make_dicom(tmp_path, mixed(), corrected=False))
    (tmp_path / "dataset.toml").write_text('name = "Ours"\nautomatic = true\n')
    assert len(read_release(tmp_path).patients) == 1


def test_another_programs_automatic_mask_may_have_been_corrected(tmp_path):
    make_dicom(tmp_path, mixed(), corrected=False)
    saved = again(own_seg(tmp_path), tmp_path / "viewer", Manufacturer="Viewer")
    with pytest.raises(DataError) as told:
        read_release(tmp_path)
    assert f"segments of {saved} are all marked AUTOMATIC" in str(told.value)
    assert "MANUAL or SEMIAUTOMATIC, or set automatic = true" in str(told.value)


def test_where_automatic_masks_count_those_of_others_go_before_this_systems_own(tmp_path):
    make_dicom(tmp_path, mixed(), corrected=False)
    (tmp_path / "dataset.toml").write_text('name = "Ours"\nautomatic = true\n')
    ours = own_seg(tmp_path)
    saved = again(ours, tmp_path / "viewer", Manufacturer="Viewer", ContentDate="20000101")
    (problem,) = read_release(tmp_path).problems
    assert problem.startswith(f"{ours}: passed over")
    assert str(saved) in problem


def test_segments_that_are_still_automatic_beside_drawn_ones_are_named(tmp_path):
    make_dicom(tmp_path, mixed())
    path = own_seg(tmp_path)
    seg = dcmread(path)
    seg.SegmentSequence[1].SegmentAlgorithmType = "AUTOMATIC"
    seg.save_as(path)
    release = read_release(tmp_path)
    assert len(release.patients) == 1
    assert release.problems == (
        f"{path}: segments 2 are marked AUTOMATIC; they count with the others",
    )


HEALTHY = 'name = "Ours"\nwithout_labels = "healthy"\n'


def again(path, folder, **attributes):
    """Save a DICOM object another time, under a name of its own and with other attributes."""
    ds = dcmread(path)
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    for name, value in attributes.items():
        setattr(ds, name, value)
    folder.mkdir(exist_ok=True)
    ds.save_as(folder / path.name)
    return folder / path.name


def second_series(folder, name="bone", **attributes):
    uid = generate_uid()
    for path in sorted((folder / "ct").glob("*.dcm")):
        again(path, folder / name, SeriesInstanceUID=uid, **attributes)


def test_a_second_series_of_a_bleeding_patient_is_not_healthy(tmp_path):
    make_dicom(tmp_path, mixed())
    (tmp_path / "dataset.toml").write_text(HEALTHY)
    second_series(tmp_path)
    release = read_release(tmp_path)
    assert len(release.patients) == 1
    assert [s.positive for s in release.slices] == [False, True, False]
    assert "bone" in release.problems[0]
    assert "another series of its patient has" in release.problems[0]


@pytest.fixture
def outlined(tmp_path):
    """A whole head with its Segmentation, in a folder whose series without one are healthy."""
    make_dicom(tmp_path, kinds(16, blood=(slice(4, 8), 4)))
    (tmp_path / "dataset.toml").write_text(HEALTHY)
    return tmp_path


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"BodyPartExamined": "SKULL_BASE"},
        {"BodyPartExamined": "", "ContrastBolusAgent": ""},
        {"ContrastBolusAgent": "NONE"},
    ],
)
def test_a_series_of_a_patient_whom_nobody_outlined_is_healthy_when_told(outlined, attributes):
    second_series(outlined, PatientID="somebody else", **attributes)
    release = read_release(outlined)
    assert (len(release.patients), release.problems) == (2, ())


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"ImageType": ["DERIVED", "SECONDARY", "LOCALIZER"]}, "a localizer"),
        ({"ImageOrientationPatient": [1, 0, 0, 0, 0.8, -0.6]}, "not axial, 37 degrees"),
        ({"ContrastBolusAgent": "IOMERON 400"}, "a contrast agent was given"),
        ({"ContrastBolusStartTime": "101500"}, "a contrast agent was given"),
        ({"BodyPartExamined": "KNEE"}, "Body Part Examined is KNEE"),
    ],
)
def test_what_is_no_plain_head_by_its_header_is_not_healthy(outlined, attributes, reason):
    second_series(outlined, PatientID="somebody else", **attributes)
    release = read_release(outlined)
    assert len(release.patients) == 1
    (problem,) = release.problems
    assert problem.startswith(str(outlined / "bone"))
    assert reason in problem


def test_a_few_slices_are_no_healthy_head(outlined):
    second_series(outlined, PatientID="somebody else")
    for path in sorted((outlined / "bone").glob("*.dcm"))[7:]:
        path.unlink()
    release = read_release(outlined)
    assert len(release.patients) == 1
    assert "7 slices over 30 mm are no whole head" in release.problems[0]


def test_several_healthy_series_of_a_patient_are_named_together(outlined):
    for name in ("bone", "soft"):
        second_series(outlined, name, PatientID="somebody else")
    release = read_release(outlined)
    assert len(release.patients) == 3
    (problem,) = release.problems
    assert all(str(outlined / name) in problem for name in ("bone", "soft"))


def test_what_somebody_outlined_counts_whatever_its_header_says_of_contrast_and_region(tmp_path):
    said = {"ContrastBolusAgent": "IOMERON 400", "BodyPartExamined": "NECK"}
    make_dicom(tmp_path, mixed(), changes=said)
    release = read_release(tmp_path)
    assert (len(release.patients), release.problems) == (1, ())


def test_an_outlined_localizer_is_left_out_with_its_reason(tmp_path):
    make_dicom(tmp_path, mixed(), changes={"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]})
    with pytest.raises(DataError, match="a localizer by its Image Type, its series is left out"):
        read_release(tmp_path)


def test_a_segmentation_that_is_passed_over_is_named_with_the_one_that_counts(tmp_path):
    make_dicom(tmp_path, mixed())
    first = own_seg(tmp_path)
    newer = again(first, tmp_path / "newer", ContentDate="29990101")
    (problem,) = read_release(tmp_path).problems
    assert problem.startswith(f"{first}: passed over")
    assert str(newer) in problem


def test_a_segmentation_without_a_date_is_the_oldest(tmp_path):
    make_dicom(tmp_path, mixed())
    dated = own_seg(tmp_path)
    undated = again(dated, tmp_path / "undated")
    seg = dcmread(undated)
    del seg.ContentDate, seg.ContentTime
    seg.save_as(undated)
    (problem,) = read_release(tmp_path).problems
    assert problem.startswith(f"{undated}: passed over")
    assert str(dated) in problem


def relabelled(folder, label, region=None):
    """Rewrite the Segmentation as another viewer would, its first segment named anew."""
    path = own_seg(folder)
    seg = dcmread(path)
    first = seg.SegmentSequence[0]
    first.SegmentLabel = label
    if region:
        first.AnatomicRegionSequence[0].CodeValue = region
    seg.save_as(path)
    return folder


@pytest.mark.parametrize(
    ("label", "region", "kind"),
    [("Acute subdural", None, 5), ("ivh", None, 3), ("Segment 1", "35951006", 4)],
)
def test_a_segments_label_or_region_tells_its_type(tmp_path, label, region, kind):
    make_dicom(tmp_path, kinds(3, blood=(slice(1, 2), 1)))
    slices = read_release(relabelled(tmp_path, label, region)).slices
    assert slices[1].types.index(True) + 1 == kind


def test_a_segment_of_no_type_is_named_with_its_file(tmp_path):
    make_dicom(tmp_path, kinds(3, blood=(slice(1, 2), 1)))
    with pytest.raises(DataError, match=r"segment 1 \('Segment 1'\).*label it with one of"):
        read_release(relabelled(tmp_path, "Segment 1"))


def test_a_segmentation_without_its_slices_is_named(tmp_path):
    make_dicom(tmp_path, mixed())
    sorted((tmp_path / "ct").glob("*.dcm"))[0].unlink()
    with pytest.raises(DataError, match="refers to 1 slices that are not here"):
        read_release(tmp_path)
