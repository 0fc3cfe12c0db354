import numpy as np
import pytest
from PIL import Image

from tests.support.ctich import BLOOD, make, make_nifti, save
from trainer.datasets.cache import prepare
from trainer.datasets.contradictions import contradictions
from trainer.datasets.sources import DataError, read_mask, read_release, read_series
from worker.munet.preprocessing import Preprocessing

PATIENTS = {49: ("EDH",), 50: ()}


@pytest.mark.parametrize("axes", ["RAS", "LPS", "LAS", "ARS", "PLS"])
def test_a_frame_lies_as_a_radiologist_sees_it_however_it_is_stored(tmp_path, axes):
    release = read_release(make_nifti(tmp_path, PATIENTS, axes=axes))
    hu, positions = read_series(release.of(49))
    assert hu[:, :4, :4].min() == 900  # the patient's front right is above on the left
    assert hu[:, 4:, 4:].max() == 70
    assert positions.tolist() == [0, 5, 10]
    mask = read_mask(release.of(49)[1])
    assert mask[BLOOD].all()
    assert mask.sum() == mask[BLOOD].size


def test_planes_stored_downwards_are_read_upwards_and_keep_their_numbers(tmp_path):
    # The table's slice 2 is the middle plane either way; give the volume four planes to tell.
    release = read_release(make_nifti(tmp_path, PATIENTS, slices=4, axes="RAI"))
    slices = release.of(49)
    assert [ct_slice.number for ct_slice in slices] == [4, 3, 2, 1]
    assert [ct_slice.slice_position_mm for ct_slice in slices] == [0, 5, 10, 15]


def test_a_pixel_has_the_volume_that_the_header_says(tmp_path):
    one = read_release(make_nifti(tmp_path, PATIENTS, axes="ARS")).slices[0]
    assert one.spacing_mm == pytest.approx((0.4, 0.5))
    assert one.ml_per_pixel == pytest.approx(0.4 * 0.5 * 5 / 1000)


def test_both_layouts_give_the_same_objects(tmp_path):
    releases = [
        read_release(make(tmp_path / "jpg", PATIENTS)),
        read_release(make_nifti(tmp_path / "nifti", PATIENTS)),
    ]
    prepared = [prepare(r, Preprocessing(size=64, crop="frame"), tmp_path) for r in releases]
    for name in ("patients", "numbers", "types", "masks", "layout"):
        assert np.array_equal(*(getattr(one, name) for one in prepared))
    assert prepared[0].pictures.shape == prepared[1].pictures.shape


def test_a_whole_release_has_no_problems(tmp_path):
    release = read_release(make_nifti(tmp_path, PATIENTS))
    assert [*release.problems, *contradictions(release.slices)] == []


def test_a_patient_of_whom_nothing_is_here_is_no_problem(tmp_path):
    (make_nifti(tmp_path, PATIENTS) / "ct_scans" / "050.nii").unlink()
    assert read_release(tmp_path).patients == (49,)
    assert read_release(tmp_path).problems == ()


@pytest.mark.parametrize(
    ("lost", "named"),
    [
        ("masks", "masks/049.nii: missing, yet the table says hemorrhage"),
        ("ct_scans", "ct_scans/049.nii: missing, its mask is here"),
    ],
)
def test_a_missing_volume_is_named(tmp_path, lost, named):
    (make_nifti(tmp_path, PATIENTS) / lost / "049.nii").unlink()
    assert read_release(tmp_path).problems == (named,)


def test_a_plane_without_a_row_and_a_row_without_a_plane_are_named(tmp_path):
    make_nifti(tmp_path, PATIENTS)
    save(tmp_path / "ct_scans" / "050.nii", np.full((64, 64, 2), 40, np.int16))
    save(tmp_path / "ct_scans" / "049.nii", np.full((64, 64, 4), 40, np.int16))
    save(tmp_path / "masks" / "049.nii", np.ones((64, 64, 4), np.uint8))
    assert read_release(tmp_path).problems == (
        "ct_scans/049.nii: slice 4 is not in the label table, left out",
        "ct_scans/050.nii: has no slice 3, the table has",
    )


def test_a_mask_of_another_grid_is_left_out_and_named(tmp_path):
    make_nifti(tmp_path, PATIENTS)
    save(tmp_path / "masks" / "049.nii", np.ones((32, 64, 3), np.uint8))
    release = read_release(tmp_path)
    assert "another grid" in release.problems[0]
    assert not read_mask(release.of(49)[1]).any()


def test_a_mask_that_contradicts_the_table_is_named(tmp_path):
    make_nifti(tmp_path, PATIENTS)
    mask = np.zeros((64, 64, 3), np.uint8)
    mask[5, 5, 0] = 1
    save(tmp_path / "masks" / "049.nii", mask)
    assert list(contradictions(read_release(tmp_path).slices)) == [
        "patient 49, slice 1: its mask has blood, yet the table says none",
        "patient 49, slice 2: its mask is empty, yet the table says hemorrhage",
    ]


def test_a_damaged_volume_is_named(tmp_path):
    (make_nifti(tmp_path, PATIENTS) / "ct_scans" / "049.nii").write_bytes(b"no volume")
    with pytest.raises(DataError, match=r"049\.nii"):
        read_release(tmp_path)


def test_a_volume_that_is_cut_short_is_named_by_each_of_its_slices(tmp_path):
    path = make_nifti(tmp_path, PATIENTS) / "ct_scans" / "049.nii"
    path.write_bytes(path.read_bytes()[:400])
    named = list(contradictions(read_release(tmp_path).slices))
    assert len(named) == 3
    assert all("049.nii: is cut short" in one for one in named)


def test_planes_that_are_not_axial_are_refused(tmp_path):
    make_nifti(tmp_path, PATIENTS, axes="RSA")
    with pytest.raises(DataError, match="axial"):
        read_release(tmp_path)


def test_an_empty_jpg_mask_of_a_positive_slice_is_named(tmp_path):
    make(tmp_path, PATIENTS)
    mask = tmp_path / "Patients_CT" / "049" / "brain" / "2_HGE_Seg.jpg"
    Image.fromarray(np.zeros((64, 64), np.uint8)).save(mask)
    (named,) = contradictions(read_release(tmp_path).slices)
    assert named == "patient 49, slice 2: its mask is empty, yet the table says hemorrhage"


def test_a_table_without_a_column_is_refused(tmp_path):
    table = make(tmp_path, PATIENTS) / "hemorrhage_diagnosis.csv"
    table.write_text(table.read_text().replace("Subdural", "Sub"))
    with pytest.raises(DataError, match="Subdural"):
        read_release(tmp_path)
