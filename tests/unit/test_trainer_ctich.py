import hashlib
import importlib.util
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.ctich import SIDE, make, make_nifti
from trainer.datasets.cache import fingerprint, prepare, small_mask
from trainer.datasets.jpg import hounsfield
from trainer.datasets.sources import DataError, read_mask, read_release, read_series
from worker.munet.preprocessing import Preprocessing
from worker.munet.resize import Box

HEADER = (
    "PatientNumber,SliceNumber,Intraventricular,Intraparenchymal,Subarachnoid,Epidural,Subdural,"
    "No_Hemorrhage,Fracture_Yes_No\n"
)
SHARED = Path(os.environ.get("IHSNET_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))
needs_shared = pytest.mark.skipif(
    not (SHARED / "ct-ich").is_dir(),
    reason="needs CT-ICH: set IHSNET_TEST_DATA to the folder that holds ct-ich",
)


@pytest.fixture
def release(tmp_path):
    """Three slices of patient 7, the second with an epidural bleed, and a row of an absent one."""
    rows = "7,1,0,0,0,0,0,1,0\n7,2,0,0,0,1,0,0,0\n7,3,0,0,0,0,0,1,1\n8,1,0,0,0,0,0,1,0\n"
    (tmp_path / "hemorrhage_diagnosis.csv").write_text("\ufeff" + HEADER + rows)
    rng = np.random.default_rng(0)
    for window in ("brain", "bone"):
        folder = tmp_path / "Patients_CT" / "007" / window
        folder.mkdir(parents=True)
        for number in (1, 2, 3):
            picture = rng.integers(0, 256, (64, 64), np.uint8)
            Image.fromarray(picture).save(folder / f"{number}.jpg")
    mask = np.zeros((64, 64), np.uint8)
    mask[16:32, 16:48] = 255
    Image.fromarray(mask).save(tmp_path / "Patients_CT" / "007" / "brain" / "2_HGE_Seg.jpg")
    return tmp_path


def test_patients_whose_folder_is_absent_are_no_problem(release):
    found = read_release(release)
    assert found.patients == (7,)
    assert found.problems == ()


def test_types_stand_in_the_order_of_the_classes(release):
    assert [s.types for s in read_release(release).of(7)] == [
        (False,) * 5,
        (True, False, False, False, False),
        (False,) * 5,
    ]


def test_slices_lie_5_mm_apart_from_the_lowest_up(release):
    hu, positions = read_series(read_release(release).of(7))
    assert hu.shape == (3, 64, 64)
    assert positions.tolist() == [0.0, 5.0, 10.0]


def test_a_mask_is_cut_at_127(release):
    mask = read_mask(read_release(release).of(7)[1])
    assert mask.sum() == 16 * 32


@pytest.mark.parametrize(
    ("lost", "named"),
    [
        ("brain/1.jpg", "007/brain/1.jpg: missing"),
        ("bone/3.jpg", "007/bone/3.jpg: missing"),
        ("brain/2_HGE_Seg.jpg", "007/brain/2_HGE_Seg.jpg: missing"),
    ],
)
def test_a_missing_file_is_named(release, lost, named):
    (release / "Patients_CT" / "007" / lost).unlink()
    (problem,) = read_release(release).problems
    assert named in problem.replace(os.sep, "/")


def test_a_slice_without_its_bone_picture_is_read_from_the_brain_picture(release):
    (release / "Patients_CT" / "007" / "bone" / "3.jpg").unlink()
    hu, _ = read_series(read_release(release).of(7))
    assert -1000 <= hu[2].min() < hu[2].max() == 100


def test_a_mask_on_a_slice_that_the_table_calls_healthy_is_named(release):
    folder = release / "Patients_CT" / "007" / "brain"
    (folder / "3_HGE_Seg.jpg").write_bytes((folder / "2_HGE_Seg.jpg").read_bytes())
    (problem,) = read_release(release).problems
    assert "3_HGE_Seg.jpg: exists" in problem


def test_a_picture_that_the_table_does_not_know_is_named(release):
    folder = release / "Patients_CT" / "007" / "brain"
    (folder / "9.jpg").write_bytes((folder / "1.jpg").read_bytes())
    (problem,) = read_release(release).problems
    assert "9.jpg: not in the label table" in problem


def test_a_damaged_picture_is_named(release):
    (release / "Patients_CT" / "007" / "brain" / "1.jpg").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"1\.jpg"):
        read_series(read_release(release).of(7))


def test_a_folder_without_a_table_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"hemorrhage_diagnosis\.csv"):
        read_release(tmp_path)


@pytest.mark.parametrize("row", [",,,,,,,,", "7,x,0,0,0,0,0,1,0", "7,3", "7"])
@pytest.mark.parametrize("layout", [make, make_nifti])
def test_a_row_that_names_no_slice_is_named(tmp_path, layout, row):
    (table,) = layout(tmp_path, {7: ()}).glob("*.csv")
    table.write_text(f"{table.read_text()}{row}\n")
    with pytest.raises(DataError, match=rf"{table.name}, row 4 below its head: .* delete it"):
        read_release(tmp_path)


def test_a_table_that_is_no_utf_8_is_named(release):
    table = release / "hemorrhage_diagnosis.csv"
    table.write_bytes(table.read_bytes() + "9,1,ü".encode("latin-1"))
    with pytest.raises(DataError, match=r"hemorrhage_diagnosis\.csv: is no UTF-8"):
        read_release(release)


def test_hu_come_from_the_window_that_shows_them():
    brain = np.array([[0, 0, 2, 128, 253, 255]], np.uint8)
    bone = np.array([[0, 1, 60, 75, 40, 255]], np.uint8)
    # air, air, below the brain window, inside it, above it but never under 100, bone
    assert hounsfield(brain, bone).tolist() == [[-1000, -1000, -147, 40, 100, 2300]]


def test_a_mask_pixel_is_blood_when_half_of_it_is():
    mask = np.zeros((64, 64), np.bool_)
    mask[:33] = True
    assert small_mask(mask, Box.frame(64, 64), 32)[:16].all()
    assert not small_mask(mask, Box.frame(64, 64), 32)[17:].any()


def test_a_cache_holds_what_the_preprocessing_makes(release, tmp_path):
    preprocessing = Preprocessing(size=64, crop="frame")
    prepared = prepare(read_release(release), preprocessing, tmp_path / "cache")
    series = read_series(read_release(release).of(7))
    seen, _ = preprocessing(*series)
    assert np.array_equal(prepared.pictures[prepared.layout], seen.pictures[seen.layout])
    assert prepared.masks.sum(axis=(1, 2)).tolist() == [0, 512, 0]
    assert prepared.positive.tolist() == [False, True, False]
    assert prepared.pixel_mm(0) == pytest.approx(0.33)


def test_a_cache_holds_bones_window_too_and_gives_each_patient_theirs(release, tmp_path):
    preprocessing = Preprocessing(size=64, crop="frame", channels="bone")
    prepared = prepare(read_release(release), preprocessing, tmp_path / "cache")
    seen, _ = preprocessing(*read_series(read_release(release).of(7)))
    assert np.array_equal(prepared.pictures[prepared.layout], seen.pictures[seen.layout])
    given = prepared.series(7)
    assert np.array_equal(given.pictures[given.layout], seen.pictures[seen.layout])
    assert np.array_equal(given.brain, seen.brain)


def test_a_smaller_picture_has_larger_pixels(release, tmp_path):
    prepared = prepare(read_release(release), Preprocessing(size=32, crop="frame"), tmp_path)
    assert prepared.pixel_mm(2) == pytest.approx(0.66)


def test_a_second_preparation_reads_the_cache(release, tmp_path, monkeypatch):
    first = prepare(read_release(release), Preprocessing(size=64), tmp_path)
    monkeypatch.setattr("trainer.datasets.cache._write", lambda *_: pytest.fail("made again"))
    again = prepare(read_release(release), Preprocessing(size=64, channels="gray"), tmp_path)
    assert np.array_equal(first.pictures, again.pictures)
    assert again.layout.tolist() == [[0, 0, 0], [1, 1, 1], [2, 2, 2]]


def test_other_preprocessing_is_another_cache(release):
    slices = read_release(release).slices
    one, two = Preprocessing(clip_limit=2.0), Preprocessing(clip_limit=0.0)
    assert fingerprint(slices, one) != fingerprint(slices, two)


def test_a_corrected_mask_of_the_same_size_is_another_cache(tmp_path):
    slices = read_release(make_nifti(tmp_path, {7: ("EDH",)})).slices
    before = fingerprint(slices, Preprocessing())
    path = tmp_path / "masks" / "007.nii"
    size, stored = path.stat().st_size, bytearray(path.read_bytes())
    stored[-SIDE] ^= 1
    path.write_bytes(stored)
    assert path.stat().st_size == size
    assert fingerprint(slices, Preprocessing()) != before


def test_a_picture_of_the_same_size_is_another_cache(release):
    slices = read_release(release).slices
    before = fingerprint(slices, Preprocessing())
    again = slices[0].brain.stat().st_mtime_ns + 10**9
    os.utime(slices[0].brain, ns=(again, again))
    assert fingerprint(slices, Preprocessing()) != before


@needs_shared
def test_the_one_file_that_the_shared_copy_lacks_is_named():
    assert [p.split(":")[0] for p in read_release(SHARED / "ct-ich").problems] == [
        str(Path("Patients_CT/084/bone/36.jpg"))
    ]


@needs_shared
@pytest.mark.parametrize("patient", [84, 91])
def test_a_dicom_series_and_the_jpgs_are_the_same_input(patient):
    tool = SHARED.parent / "tools" / "ctich_to_dicom.py"
    if not tool.exists():
        pytest.skip("needs ctich_to_dicom.py beside the data")
    spec = importlib.util.spec_from_file_location("ctich_to_dicom", tool)
    maker = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(maker)
    release = read_release(SHARED / "ct-ich")
    slices = release.of(patient)
    folder = SHARED / "ct-ich" / "Patients_CT" / f"{patient:03d}"
    made = [
        maker.dataset(patient, s.number, maker.read_slice(folder, s.number, 650), 0.0)
        for s in slices
    ]
    stored = [
        np.frombuffer(ds.PixelData, "<i2").reshape(650, 650).astype(np.float32)
        * float(ds.RescaleSlope)
        + float(ds.RescaleIntercept)
        for ds in made
    ]
    positions = np.array([float(ds.ImagePositionPatient[2]) for ds in made])
    digests = [
        hashlib.sha256(Preprocessing()(*series)[0].pictures.tobytes()).hexdigest()
        for series in ((np.stack(stored), positions), read_series(slices))
    ]
    assert digests[0] == digests[1]
