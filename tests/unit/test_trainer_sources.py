"""Scans with a type for each voxel, of each layout, come out as slices that the trainer knows."""

import nibabel
import numpy as np
import pytest
from typer.testing import CliRunner

from tests.support.ctich import TINY, make
from tests.support.labelled import LEFT, RIGHT, head, kinds, make_bhsd, make_dicom, mixed, save
from tests.support.phantoms import Phantom
from trainer.cli import app
from trainer.datasets.cache import prepare
from trainer.datasets.people import person, person_number
from trainer.datasets.sources import (
    DataError,
    read_kinds,
    read_mask,
    read_release,
    read_series,
)
from trainer.datasets.splits import LeakError, Split, folds, hold_out
from trainer.datasets.stored import read_stored
from trainer.evaluation.evaluate import segmentation
from trainer.evaluation.operating import SCORING
from trainer.evaluation.perturb import CHANGES, Head, read_head, thickness
from trainer.evaluation.seen import see
from trainer.evaluation.studies import predict_studies, study_of
from trainer.experiments.export import sources_of
from worker.munet import checkpoint
from worker.munet.card import CLASSES, Card, OperatingPoint
from worker.munet.inference import Prediction, Predictor
from worker.munet.network import MUNet, NetworkConfig
from worker.munet.preprocessing import Preprocessing
from worker.munet.slab import slabs

EDH, SDH = 0, 4  # in the order of CLASSES
FIRST, AGAIN, OTHER = (
    "ID_0a1b2c3d_ID_0123456789",
    "ID_0a1b2c3d_ID_abcdef0123",
    "ID_11111111_ID_2222222222",
)
PLAIN = Preprocessing(crop="frame", size=64, clip_limit=0.0)


def test_masks_of_a_slice_with_several_types_are_measured_by_each_where_pixels_are_told(tmp_path):
    make_bhsd(tmp_path, {FIRST: mixed()})
    slices = read_release(tmp_path).slices
    labels = np.stack([np.asarray(read_kinds(ct_slice)) for ct_slice in slices])
    labels[labels == SDH + 1] = EDH + 1  # as a network that calls all of it EDH
    study = study_of(slices, found(labels), OperatingPoint())
    figures = segmentation([study])
    blood = {kind: int((mixed() == kind + 1).sum()) for kind in (EDH, SDH)}
    assert study.truth_px[:, [EDH, SDH]].sum(axis=0).tolist() == [blood[EDH], blood[SDH]]
    assert figures["EDH"]["dice"] == pytest.approx(2 * blood[EDH] / (2 * blood[EDH] + blood[SDH]))
    assert (figures["SDH"]["dice"], figures["any"]["dice"]) == (0.0, 1.0)
    assert figures["EDH"]["slices"] == figures["SDH"]["slices"] == 1


def test_masks_of_a_slice_with_several_types_are_left_out_where_nobody_told_them_apart(tmp_path):
    slices = read_release(make(tmp_path, {1: ("EDH", "SDH")})).slices
    study = study_of(slices, found(np.stack([read_mask(s) for s in slices])), OperatingPoint())
    figures = segmentation([study])
    assert study.types.any(axis=0)[[EDH, SDH]].all()
    assert figures["EDH"]["slices"] == figures["SDH"]["slices"] == 0
    assert figures["any"]["dice"] == 1.0


def found(labels):
    """Make a prediction that outlines this."""
    nothing = dict.fromkeys((*CLASSES, "any"), 0.0)
    scores = np.zeros((len(labels), len(nothing)), np.float32)
    return Prediction(np.asarray(labels, np.uint8), scores, nothing, 0.5)


def test_bhsds_labels_become_the_five_types(tmp_path):
    for label in range(1, 6):
        make_bhsd(tmp_path, {f"ID_{label}_ID_0": kinds(3, blood=(slice(1, 2), label))})
    release = read_release(tmp_path)
    found = {person(s.patient): s.types.index(True) for s in release.slices if s.positive}
    assert found == {person_number("BHSD", f"ID_{n}"): n - 1 for n in range(1, 6)}


@pytest.mark.parametrize("axes", ["LAS", "RAS", "LPS", "RPI", "PRS"])
def test_pixels_and_labels_come_out_as_a_radiologist_sees_them(tmp_path, axes):
    labels = mixed()
    save(tmp_path / "images" / f"{FIRST}.nii.gz", head(labels), axes=axes)
    save(tmp_path / "ground truths" / f"{FIRST}.nii.gz", labels * 1.0, axes=axes)
    slices = read_release(tmp_path).slices
    hu, positions = read_series(slices)
    assert np.array_equal(hu, head(labels))
    assert positions.tolist() == [0, 5, 10]
    assert np.array_equal(np.stack([np.asarray(read_kinds(s)) for s in slices]), labels)


def test_two_studies_of_a_patient_are_two_scans_of_one_person(tmp_path):
    release = read_release(make_bhsd(tmp_path, dict.fromkeys([FIRST, AGAIN, OTHER], mixed())))
    assert len(release.patients) == 3
    assert len({person(patient) for patient in release.patients}) == 2
    assert len(release.of(release.patients[0])) == 3


def test_a_persons_scans_never_stand_on_both_sides(tmp_path):
    release = read_release(make_bhsd(tmp_path, dict.fromkeys([FIRST, AGAIN, OTHER], mixed())))
    first = person_number("BHSD", "ID_0a1b2c3d")
    assert hold_out(release.patients, [first]).validation == (first, first + 1)
    with pytest.raises(LeakError):
        Split((first,), (first + 1,))
    for split in folds(prepare(release, PLAIN, tmp_path / "cache"), 2, 0):
        assert not {person(p) for p in split.train} & {person(p) for p in split.validation}


def test_thin_slices_are_averaged_as_the_worker_does(tmp_path):
    labels = kinds(12, blood=(slice(4, 8), 2))
    slices = read_release(make_bhsd(tmp_path, {FIRST: labels}, step_mm=1.25)).slices
    hu, positions = read_series(slices)
    expected = slabs(head(labels).astype(np.float32), np.arange(12) * 1.25, 5.0)
    assert np.allclose(hu, expected.hu, atol=1e-3)
    assert np.allclose(positions, expected.slice_position_mm)
    assert [s.positive for s in slices] == [False, True, False]
    assert slices[0].ml_per_pixel == pytest.approx(0.49**2 * 5 / 1000)


def test_interpolated_slices_are_laid_back_as_the_worker_does(tmp_path):
    labels = kinds(12, a=(slice(3, 5), 2), b=(slice(5, 6), 4))
    grain = np.random.default_rng(0).normal(0, 5, labels.shape)
    thin = thickness(1.25)(Head((head(labels) + grain).astype(np.float32), np.arange(12) * 5.0))
    hu, folder = np.rint(thin.hu), tmp_path / "label_192"
    save(folder / "images" / f"{FIRST}.nii.gz", hu, step_mm=1.25)
    save(folder / "ground truths" / f"{FIRST}.nii.gz", np.repeat(labels, 4, 0) * 1.0, step_mm=1.25)
    slices = read_release(tmp_path).slices
    found, positions = read_series(slices)
    expected = slabs(hu, np.arange(48) * 1.25, 5.0)
    assert np.allclose(found, expected.hu, atol=1e-2)
    assert np.allclose(positions, expected.slice_position_mm)
    assert np.array_equal(np.stack([np.asarray(read_kinds(s)) for s in slices]), labels)
    again = Preprocessing().slabs(found, positions)  # what is laid out stays as it is
    assert np.array_equal(again.hu, found)


# Of a real head: fifteen slices 4 mm apart, then thirteen 7 mm apart.
THIN_THEN_THICK = (*np.arange(14) * 4.0, *53.1 + np.arange(14) * 7.0)


@pytest.fixture
def thin_then_thick(tmp_path):
    """One healthy series, whose slabs seem thin and thick again."""
    (tmp_path / "dataset.toml").write_text('name = "Ours"\nwithout_labels = "healthy"\n')
    Phantom(THIN_THEN_THICK, size=64).write(tmp_path / "ct")
    return read_release(tmp_path)


def test_what_is_laid_out_is_fed_as_the_worker_feeds_the_series(thin_then_thick):
    slices = thin_then_thick.slices
    stored, ours = read_stored(slices), read_head(slices)
    fed, expected = PLAIN(*ours.series)[0], PLAIN(stored.hu, stored.slice_position_mm)[0]
    assert np.array_equal(fed.slice_position_mm, expected.slice_position_mm)
    assert np.array_equal(fed.pictures, expected.pictures)
    assert len(PLAIN.slabs(*ours[:2]).hu) != len(slices)  # laid out twice it is another series


def test_a_series_that_is_laid_out_is_judged_slice_by_slice(thin_then_thick, tmp_path):
    config = NetworkConfig(width=4)
    network, (patient,) = MUNet(config).eval(), thin_then_thick.patients
    seen = see(network, PLAIN, SCORING, thin_then_thick, patient)
    assert len(seen.maps.logits) == len(seen.types) == len(seen.masks)
    card = Card("x", "", config, PLAIN, SCORING, {"balanced": OperatingPoint()}, "balanced")
    checkpoint.write(tmp_path / "x.safetensors", network.state_dict(), card)
    predictor = Predictor(tmp_path / "x.safetensors", "cpu")
    (study,) = predict_studies(predictor, thin_then_thick, [patient])
    assert len(study.slice_probabilities) == len(thin_then_thick.slices)


def test_a_change_of_pixels_leaves_slabs_and_one_of_slices_makes_others(thin_then_thick):
    laid = read_head(thin_then_thick.slices)
    kept = {name for name, change in CHANGES.items() if change(laid).laid_out}
    assert {"5 HU more", "noise of 10 HU", "gantry tilted by 15 degrees"} <= kept
    assert not {"1.25 mm slices", "overlapping slices", "10 mm slices"} & kept


def test_a_slab_bleeds_where_half_of_it_does_and_is_of_its_commonest_type(tmp_path):
    labels = kinds(4)
    labels[:3, 10, 10], labels[3, 10, 10] = 1, 5
    labels[0, 40, 40] = 3
    (ct_slice,) = read_release(make_bhsd(tmp_path, {FIRST: labels}, step_mm=1.25)).slices
    assert np.argwhere(read_kinds(ct_slice)).tolist() == [[10, 10]]
    assert ct_slice.types == (True, False, False, False, False)


def test_several_types_in_a_slice_keep_their_own_pixels(tmp_path):
    prepared = prepare(read_release(make_bhsd(tmp_path, {FIRST: mixed()})), PLAIN, tmp_path)
    assert list(prepared.kinds) == [1]
    assert np.array_equal(prepared.kinds[1], mixed()[1])
    again = prepare(read_release(tmp_path), PLAIN, tmp_path)
    assert np.array_equal(again.kinds[1], prepared.kinds[1])


def test_the_network_is_told_where_thick_slices_lie(tmp_path):
    release = read_release(make_bhsd(tmp_path, {FIRST: mixed()}, step_mm=6.0))
    series = prepare(release, PLAIN, tmp_path).series(release.patients[0])
    assert series.slice_position_mm.tolist() == [0, 6, 12]


TOML = """
name = "Ours"
licence = "in house"
scanner = "Siemens Somatom"
images = "ct/*.nii"
labels = "truth/{name}_seg.nii"
patient = "^(?P<patient>[a-z]+)"
ignore = [9]
[types]
EDH = [1, 7]
SDH = 2
"""


def ours(folder, labels, toml=TOML):
    (folder / "dataset.toml").write_text(toml)
    save(folder / "ct" / "ann-1.nii", head(labels))
    save(folder / "truth" / "ann-1_seg.nii", labels)
    return folder


def test_a_toml_names_the_labels_of_any_folder(tmp_path):
    labels = kinds(4, a=(slice(0, 1), 7), b=(slice(1, 2), 2), c=(slice(2, 3), 9))
    release = read_release(ours(tmp_path, labels))
    assert [s.types.index(True) if s.positive else None for s in release.slices] == [
        EDH,
        SDH,
        None,
        None,
    ]
    assert person(release.patients[0]) == person_number("Ours", "ann")
    (source,) = release.sources
    assert (source.licence, source.scanners) == ("in house", ("Siemens Somatom",))


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        (TOML.replace("EDH", "XDH"), r"dataset\.toml: types \['XDH'\] are not among"),
        (TOML.replace("licence", "license"), r"dataset\.toml: license: is unknown"),
        (TOML.replace("SDH = 2", "SDH = 7"), "stands for two types"),
        (TOML.replace("P<patient>", "P<who>"), r"needs a group \(\?P<patient>"),
        (TOML.replace("ignore = [9]", ""), r"ann-1_seg\.nii: has the labels \[9\].*ignore"),
        (TOML.replace("truth/", "lost/"), "has a label map lost"),
        (TOML.replace("ct/", "/ct/"), r"dataset\.toml: images = '/ct/\*\.nii' is no pattern"),
        (TOML.replace("ct/*.nii", ""), r"dataset\.toml: images = '' is no pattern"),
    ],
)
def test_what_is_wrong_with_a_description_is_named_with_its_file(tmp_path, toml, words):
    with pytest.raises(DataError, match=words):
        read_release(ours(tmp_path, kinds(3, a=(slice(0, 1), 9)), toml))


def test_a_scan_without_labels_is_left_out_by_name_or_healthy_when_told(tmp_path):
    ours(tmp_path, kinds(2))
    save(tmp_path / "ct" / "ben-1.nii", head(kinds(2)))
    release = read_release(tmp_path)
    assert len(release.patients) == 1
    assert "ben-1_seg.nii: missing" in release.problems[0]
    (tmp_path / "dataset.toml").write_text(f'without_labels = "healthy"\n{TOML}')
    assert len(read_release(tmp_path).patients) == 2


def moved(degrees=0.0, **mm):
    """Turn about the axis from right to left, and move by mm along x, y and z."""
    turned = np.eye(4)
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turned[1:3, 1:3] = [[cos, -sin], [sin, cos]]
    turned[:3, 3] = [mm.get(axis, 0.0) for axis in "xyz"]
    return turned


ELSEWHERE = {
    "a plane more": lambda path: save(path, kinds(4)),
    "thicker planes": lambda path: save(path, kinds(3), step_mm=6.0),
    "two planes up": lambda path: save(path, kinds(3), moved=moved(z=10)),
    "to the side": lambda path: save(path, kinds(3), moved=moved(x=-9, y=9)),
    "turned": lambda path: save(path, kinds(3), moved=moved(20)),
    "mirrored": lambda path: save(path, kinds(3), moved=np.diag([-1.0, 1, 1, 1])),
}


@pytest.mark.parametrize("wrong", ELSEWHERE.values(), ids=ELSEWHERE.keys())
def test_a_label_map_that_lies_elsewhere_is_left_out_by_name_with_its_scan(tmp_path, wrong):
    ours(tmp_path, kinds(3))
    wrong(tmp_path / "truth" / "ann-1_seg.nii")
    with pytest.raises(DataError, match=r"ann-1_seg\.nii: has another grid.*resample"):
        read_release(tmp_path)
    save(tmp_path / "ct" / "ben-1.nii", head(kinds(3)))
    save(tmp_path / "truth" / "ben-1_seg.nii", kinds(3))
    release = read_release(tmp_path)
    assert release.patients == (person_number("Ours", "ben"),)
    assert "ann-1_seg.nii: has another grid" in release.problems[0]


@pytest.mark.parametrize("axes", ["RAS", "LPI", "PRS"])
def test_a_label_map_in_another_order_is_laid_where_it_says(tmp_path, axes):
    ours(tmp_path, mixed(), TOML.replace("ignore = [9]", "ignore = [5]"))
    save(tmp_path / "truth" / "ann-1_seg.nii", mixed(), axes=axes)
    labels = np.stack([np.asarray(read_kinds(s)) for s in read_release(tmp_path).slices])
    assert np.array_equal(labels, np.where(mixed() == 1, 1, 0))


def test_a_header_that_does_not_say_how_it_lies_is_named(tmp_path):
    ours(tmp_path, mixed(), TOML.replace("ignore = [9]", "ignore = [5]"))
    for path in (tmp_path / "ct" / "ann-1.nii", tmp_path / "truth" / "ann-1_seg.nii"):
        content = bytearray(path.read_bytes())
        content[252:256] = bytes(4)  # qform_code, sform_code
        path.write_bytes(content)
    assert [problem.split(": ")[1][:23] for problem in read_release(tmp_path).problems] == [
        "its header does not say",
        "its header does not say",
    ]


@pytest.mark.parametrize("value", [0.5, np.nan])
def test_a_label_map_that_was_interpolated_is_refused_by_name(tmp_path, value):
    labels = kinds(3) * 1.0
    labels[1][LEFT] = value
    with pytest.raises(DataError, match=r"ann-1_seg\.nii: has values between labels"):
        read_release(ours(tmp_path, labels))


def test_all_that_is_wrong_is_told_at_once(tmp_path):
    ours(tmp_path, kinds(3, a=(slice(0, 1), 6)))
    save(tmp_path / "ct" / "ben-1.nii", head(kinds(3)))
    save(tmp_path / "truth" / "ben-1_seg.nii", kinds(3, a=(slice(0, 1), 8)))
    with pytest.raises(DataError, match=r"(?s)ann-1_seg.*\[6\].*\n.*ben-1_seg.*\[8\]"):
        read_release(tmp_path)


def test_a_fourth_axis_of_one_volume_is_left_off(tmp_path):
    ours(tmp_path, kinds(3, a=(slice(1, 2), 1)))
    for path in (tmp_path / "ct" / "ann-1.nii", tmp_path / "truth" / "ann-1_seg.nii"):
        image = nibabel.load(path)
        voxels = image.get_fdata()[..., None].copy()
        nibabel.save(nibabel.Nifti1Image(voxels, image.affine), path)
    assert [s.positive for s in read_release(tmp_path).slices] == [False, True, False]


def test_planes_of_a_tilted_gantry_are_as_far_apart_as_they_are(tmp_path):
    sheared = np.eye(4)
    sheared[1, 2] = np.tan(np.radians(20))  # each plane further back than the one below
    ours(tmp_path, kinds(3))
    for path in ("ct/ann-1.nii", "truth/ann-1_seg.nii"):
        save(tmp_path / path, head(kinds(3)) if "ct" in path else kinds(3), moved=sheared)
    assert read_release(tmp_path).slices[1].slice_position_mm == pytest.approx(5.0)


def test_another_name_for_a_label_makes_another_cache(tmp_path):
    both = kinds(3, a=(slice(1, 2), 1))
    both[1][RIGHT] = 7
    found = []
    for toml in (TOML, TOML.replace("[1, 7]", "1").replace("ignore = [9]", "ignore = [7]")):
        release = read_release(ours(tmp_path, both, toml))
        found.append(prepare(release, PLAIN, tmp_path / "cache").masks.sum())
    assert found[0] > found[1] > 0


def test_a_cache_that_is_there_is_read_where_nobody_can_write(tmp_path):
    release = read_release(make_bhsd(tmp_path, {FIRST: mixed()}))
    made = prepare(release, PLAIN, tmp_path / "cache")
    (lock,) = (tmp_path / "cache").glob("*.lock")
    lock.unlink()
    assert np.array_equal(prepare(release, PLAIN, tmp_path / "cache").pictures, made.pictures)
    assert not lock.exists()


def cut_short(content):
    return content[: len(content) // 2]


def spoilt(content):
    return content[:40] + bytes(byte ^ 0xFF for byte in content[40:80]) + content[80:]


@pytest.mark.parametrize("damage", [cut_short, spoilt])
@pytest.mark.parametrize("where", ["images", "ground truths"])
def test_a_damaged_volume_is_named(tmp_path, damage, where):
    make_bhsd(tmp_path, {FIRST: mixed()})
    path = tmp_path / "label_192" / where / f"{FIRST}.nii.gz"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError, match=rf"{FIRST}.*copy the file again"):
        read_series(read_release(tmp_path).slices)


def test_pictures_that_are_no_hu_are_named(tmp_path):
    make_bhsd(tmp_path, {FIRST: mixed()})
    save(tmp_path / "label_192" / "images" / f"{FIRST}.nii.gz", np.clip(head(mixed()), 0, 255))
    done = CliRunner().invoke(
        app, ["prepare", "--data", str(tmp_path), "--cache", str(tmp_path / "cache")]
    )
    assert "holds no air" in done.output


def test_an_unknown_folder_is_told_what_is_known(tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(DataError, match=r"dataset\.toml"):
        read_release(tmp_path)


def test_a_folder_given_twice_is_refused(tmp_path):
    make_bhsd(tmp_path / "a", {FIRST: mixed()})
    with pytest.raises(DataError, match="given twice"):
        read_release([tmp_path / "a", tmp_path / "a"])


@pytest.fixture
def three(tmp_path):
    """CT-ICH, BHSD and DICOM in a folder each."""
    make(tmp_path / "ctich", {1: ("EDH",), 2: ()})
    make_bhsd(tmp_path / "bhsd", {FIRST: mixed(), OTHER: kinds(3)})
    make_dicom(tmp_path / "dicom", mixed())
    return [tmp_path / name for name in ("ctich", "bhsd", "dicom")]


def test_prepare_prints_every_source_with_its_licence(three, tmp_path):
    command = ["prepare", "--cache", str(tmp_path / "cache")]
    for path in three:
        command += ["--data", str(path)]
    done = CliRunner(env={"COLUMNS": "80"}).invoke(app, command)
    assert done.exit_code == 0, done.output
    for word in ("CC BY 4.0", "MIT by its card", "DICOM", "not stated", "15 slices prepared"):
        assert word in done.output


def test_sources_keep_their_patients_apart_and_the_card_lists_them(three):
    release = read_release(three)
    assert len(release.patients) == 5
    assert {1, 2} < set(release.patients)
    assert {s["name"]: s["patients"] for s in sources_of(release, release.patients)} == {
        "BHSD": 2,
        "CT-ICH": 2,
        "DICOM": 1,
    }
    assert [s["name"] for s in sources_of(release, [1])] == ["CT-ICH"]


def test_one_command_trains_on_all_of_them(three, tmp_path):
    (tmp_path / "tiny.toml").write_text(TINY)
    command = ["fit", "--run", str(tmp_path / "run"), "--cache", str(tmp_path / "cache")]
    command += ["--preset", str(tmp_path / "tiny.toml"), "--no-curves"]
    command += ["--held-out", "2,BHSD/ID_11111111"]
    for path in three:
        command += ["--data", str(path)]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    assert "epoch 1/1" in done.output


def test_a_patient_who_is_not_there_can_not_be_held_out(three, tmp_path):
    command = ["fit", "--run", str(tmp_path / "run"), "--data", str(three[0])]
    for absent in (["--held-out", "999"], ["--held-out", "BHSD/ID_1"], ["--split", "paper-test"]):
        done = CliRunner().invoke(app, [*command, *absent])
        assert (done.exit_code, "are not in these data" in done.output) == (2, True)


def test_a_folder_in_brackets_keeps_its_name(tmp_path):
    done = CliRunner().invoke(app, ["prepare", "--data", str(tmp_path / "heads [bold]")])
    assert "heads [bold]" in done.output


def test_what_was_left_out_is_said_by_whoever_learns_from_the_rest(tmp_path):
    make_bhsd(tmp_path, dict.fromkeys([FIRST, OTHER], mixed()))
    save(tmp_path / "label_192" / "ground truths" / f"{OTHER}.nii.gz", kinds(4))
    command = ["fit", "--run", str(tmp_path / "run"), "--data", str(tmp_path)]
    done = CliRunner().invoke(app, [*command, "--held-out", "BHSD/ID_1"])
    assert "problems with these data: 1;" in done.output


def test_a_folder_that_can_not_be_made_is_told_in_a_line(tmp_path):
    make_bhsd(tmp_path, {FIRST: mixed()})
    (tmp_path / "file").touch()
    where = ["--data", str(tmp_path), "--cache", str(tmp_path / "file" / "cache")]
    done = CliRunner().invoke(app, ["prepare", *where])
    assert (done.exit_code, "Not a directory" in done.output) == (2, True)
