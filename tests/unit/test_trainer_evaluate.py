import json
import math
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from tests.support.ctich import TINY
from tests.support.studies import study
from trainer.cli import app
from trainer.datasets.people import person_number
from trainer.datasets.splits import SplitError, evaluated_patients
from trainer.evaluation.evaluate import evaluate, exact_shares, overlap
from trainer.evaluation.intervals import bootstrap, exact
from trainer.evaluation.metrics import (
    CalledTypes,
    PixelCounts,
    auc,
    intraclass,
    sensitivity,
    specificity,
)
from trainer.evaluation.operating import POINTS, balanced, platt
from trainer.evaluation.outlined import with_type
from trainer.evaluation.studies import ML_PER_PIXEL, counted
from worker.munet.card import CLASSES
from worker.munet.inference import calibrate

HEADER = (
    "PatientNumber,SliceNumber,Intraventricular,Intraparenchymal,Subarachnoid,Epidural,Subdural,"
    "No_Hemorrhage,Fracture_Yes_No"
)


BLEED = study(1, ["EDH", "EDH", None], [100, 50, 0], [100, 0, 10], [80, 0, 0], [0.9, 0.4, 0.6])
HEALTHY = study(2, [None, None], [0, 0], [0, 0], [0, 0], [0.1, 0.2])


@pytest.fixture(scope="module")
def report():
    return evaluate([BLEED, HEALTHY], "tiny", "0" * 64)


def test_the_report_has_the_contracts_keys(report):
    assert list(report) == [
        "model",
        "patients",
        "slices",
        "segmentation",
        "classification",
        "slice_any",
        "study_any",
        "clinical",
    ]
    assert list(report["segmentation"]) == [*CLASSES, "mean", "any"]
    assert list(report["classification"]) == [
        "accuracy",
        "balanced_accuracy",
        *CLASSES,
        "confusion",
        "outlined",
    ]


def test_dice_by_type_is_the_mean_over_its_slices(report):
    assert report["segmentation"]["EDH"]["dice"] == pytest.approx((0.8 + 0) / 2)
    assert report["segmentation"]["EDH"]["iou"] == pytest.approx((80 / 120 + 0) / 2)
    assert report["segmentation"]["EDH"]["slices"] == 2


def test_any_dice_is_pooled_over_every_voxel_and_counts_false_ones(report):
    assert report["segmentation"]["any"]["dice"] == pytest.approx(2 * 80 / (150 + 110))


def test_a_type_that_nobody_has_counts_in_no_mean(report):
    assert math.isnan(report["segmentation"]["SAH"]["dice"])
    assert report["segmentation"]["mean"]["dice"] == report["segmentation"]["EDH"]["dice"]


def test_slices_are_called_at_the_cards_operating_point(report):
    assert report["slice_any"]["sensitivity"] == pytest.approx(1 / 2)
    assert report["slice_any"]["specificity"] == pytest.approx(2 / 3)


def test_a_study_is_called_by_its_own_probability(report):
    assert report["study_any"]["sensitivity"] == 1
    assert report["study_any"]["specificity"] == 1


def test_the_confusion_counts_single_type_slices_only(report):
    assert np.sum(report["classification"]["confusion"]) == 2


def test_pixels_are_counted_by_type_and_any():
    blood, kinds = np.array([[True, True, False]]), np.array([[1, 1, 0]], np.uint8)
    labels = np.array([[1, 5, 5]], np.uint8)
    typed, there, found, both = counted([blood, blood], [kinds, None], [labels, labels])
    assert typed.tolist() == [True, False]
    assert there.tolist() == [[2, 0, 0, 0, 0, 2], [0, 0, 0, 0, 0, 2]]
    assert found.tolist() == [[1, 0, 0, 0, 2, 3]] * 2
    assert both.tolist() == [[1, 0, 0, 0, 0, 2], [0, 0, 0, 0, 0, 2]]


def test_a_published_pixel_is_half_a_microlitre():
    assert pytest.approx(0.33 * 0.33 * 5 / 1000) == ML_PER_PIXEL


def test_overlap_of_nothing_is_not_a_number():
    none = PixelCounts(*np.zeros((3, 0), int))
    assert math.isnan(overlap(none)["dice"])
    assert math.isnan(none.dice)


def test_overlap_adds_up_pixels_and_averages_slices():
    half = np.array([[True, True, False, False]])
    found = np.array([[True, False, True, False]])
    counts = PixelCounts.of(np.stack([half, half & False]), np.stack([found, half]))
    assert counts.dice == pytest.approx(2 * 1 / (2 + 4))
    assert counts.iou == pytest.approx(1 / 5)
    assert counts.mean_dice == pytest.approx(0.25)
    assert counts.with_blood.mean_dice == pytest.approx(0.5)


def test_types_are_called_on_slices_with_exactly_one():
    types = np.array([[1, 0, 0], [0, 1, 0], [0, 1, 0], [1, 1, 0], [0, 0, 0]], np.bool_)
    scores = np.array([[0.9, 0.1, 0], [0.9, 0.1, 0], [0.1, 0.9, 0], [0, 0, 1], [0, 0, 1]])
    calls = CalledTypes.of(scores, types)
    assert calls.truth.tolist() == [0, 1, 1]
    assert (calls.accuracy, calls.balanced_accuracy) == (pytest.approx(2 / 3), 0.75)


def test_auc_counts_pairs_in_the_right_order():
    truth = np.array([False, False, True, True])
    assert auc(truth, np.array([0.1, 0.4, 0.35, 0.8])) == 0.75
    assert math.isnan(auc(np.array([True]), np.array([0.5])))


def test_sensitivity_and_specificity_by_hand():
    truth, called = np.array([True, True, False, False]), np.array([True, False, True, False])
    assert (sensitivity(truth, called), specificity(truth, called)) == (0.5, 0.5)


def test_raters_who_agree_have_an_icc_of_1_and_a_constant_error_lowers_it():
    sizes = np.array([1.0, 2.0, 3.0, 4.0])
    assert intraclass(sizes, sizes) == pytest.approx(1)
    # Rows: MS 10/3; columns: MS 8; error 0: (10/3) / (10/3 + 2 * 8 / 4).
    assert intraclass(sizes, sizes + 2) == pytest.approx((10 / 3) / (10 / 3 + 4))


def test_the_bootstrap_draws_patients():
    interval = bootstrap(range(50), lambda rows: {"mean": float(rows.mean())})["mean"]
    assert interval[0] < 24.5 < interval[1]


def test_scans_of_one_person_are_drawn_together():
    scans = [person_number("Ours", name) + n for name in ("ann", "ben") for n in range(25)]
    of_ann = np.arange(50) < 25
    assert bootstrap(scans, lambda rows: {"of ann": float(of_ann[rows].mean())})["of ann"] == [0, 1]


def test_scans_of_one_person_are_one_patient_of_a_type_and_give_no_exact_interval():
    ann = person_number("Ours", "ann")
    scans = [replace(BLEED, patient=ann + n) for n in range(2)]
    assert with_type(scans, 0) == 1
    assert with_type([BLEED, *scans], 0) == 2
    assert exact_shares(scans) == {}
    assert exact_shares([BLEED, scans[0]])["sensitivity"] == exact(2, 2)


def test_a_balanced_point_lies_in_the_middle_of_the_gap_that_parts_what_can_be_parted():
    truth = np.array([False, False, True, True])
    assert balanced(truth, np.array([0.1, 0.3, 0.7, 0.9])) == pytest.approx(0.5)


def test_a_balanced_point_finds_nine_in_ten_where_fewer_would_leave_more_healthy_alone():
    truth = np.repeat([False, True], [10, 10])
    score = np.concatenate((np.linspace(0.1, 0.55, 10), [0.2, 0.45], np.linspace(0.6, 0.95, 8)))
    assert sensitivity(truth, score >= balanced(truth, score)) == pytest.approx(0.9)


def test_the_three_points_lie_where_their_names_say():
    rng = np.random.default_rng(0)
    truth = rng.random(400) < 0.3
    score = np.clip(rng.normal(0.35 + 0.3 * truth, 0.15), 0, 1)
    points = {name: limit(truth, score) for name, limit in POINTS.items()}
    assert points["high-sensitivity"] < points["balanced"] < points["high-ppv"]
    assert sensitivity(truth, score >= points["high-sensitivity"]) >= 0.95
    assert specificity(truth, score >= points["high-ppv"]) >= 0.95


@pytest.mark.parametrize("limit", POINTS.values())
def test_a_point_for_one_kind_of_truth_is_the_middle(limit):
    assert limit(np.ones(3, bool), np.array([0.1, 0.2, 0.9])) == 0.5


def test_calibration_leaves_the_likeliest_type_the_likeliest():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (200, 6)).astype(np.float32)
    truth = rng.random((200, 6)) < [0.6, 0.1, 0.05, 0.05, 0.2, 0.7]
    found = calibrate(logits, platt(logits, truth))
    assert (found[:, :-1].argmax(axis=1) == logits[:, :-1].argmax(axis=1)).all()


def test_platt_makes_frequencies_of_logits():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (4000, 6)).astype(np.float32)
    truth = rng.random((4000, 6)) < 1 / (1 + np.exp(-(0.5 * logits - 1)))
    fitted = platt(logits, truth)
    assert fitted.slope == pytest.approx([0.5] * 6, abs=0.1)
    assert calibrate(logits, fitted).mean() == pytest.approx(truth.mean(), abs=0.01)


def test_a_column_of_one_kind_keeps_its_logits():
    fitted = platt(np.ones((3, 6), np.float32), np.zeros((3, 6), np.bool_))
    assert fitted.slope == (1.0,) * 6


def test_the_papers_test_patients_are_judged_where_present():
    assert evaluated_patients({49, 52}, (), "paper-test") == (49,)


def test_everybody_is_judged_when_nobody_is_named():
    assert evaluated_patients({3, 1}, (), "") == (1, 3)


@pytest.mark.parametrize(("named", "split"), [((9,), ""), ((), "other"), ((), "paper-test")])
def test_patients_that_are_not_here_are_refused(named, split):
    with pytest.raises(SplitError):
        evaluated_patients({1, 2}, named, split)


@pytest.fixture
def release(tmp_path):
    """Patients of three slices; odd ones have a bright square, of two types in turn."""
    rng = np.random.default_rng(0)
    rows = [HEADER]
    for patient in range(1, 23):
        for number in (1, 2, 3):
            sick = patient % 2 == 1 and number == 2
            edh, sdh = (int(sick and patient % 4 == rest) for rest in (1, 3))
            rows.append(f"{patient},{number},0,0,0,{edh},{sdh},{int(not sick)},0")
            picture = rng.integers(60, 100, (64, 64)).astype(np.uint8)
            mask = np.zeros((64, 64), np.uint8)
            mask[10:30, 20:40] = 255 * sick
            folder = tmp_path / "data" / "Patients_CT" / f"{patient:03d}"
            for window in ("brain", "bone"):
                (folder / window).mkdir(parents=True, exist_ok=True)
                changed = np.where(mask > 0, np.uint8(200), picture)
                Image.fromarray(changed).save(folder / window / f"{number}.jpg")
            if sick:
                Image.fromarray(mask).save(folder / "brain" / f"{number}_HGE_Seg.jpg")
    (tmp_path / "data" / "hemorrhage_diagnosis.csv").write_text("\n".join(rows) + "\n")
    return tmp_path / "data"


@pytest.mark.slow
def test_one_command_each_trains_ships_and_judges(tmp_path, release):
    preset = tmp_path / "tiny.toml"
    preset.write_text(TINY)
    held = ",".join(map(str, range(3, 23)))
    run, model, figures = tmp_path / "run", tmp_path / "m.safetensors", tmp_path / "m-figures.json"
    data = ["--data", str(release), "--cache", str(tmp_path / "cache")]
    commands = [
        ["fit", *data, "--run", str(run), "--preset", str(preset), "--held-out", held],
        ["export", *data[:2], "--run", str(run), "--out", str(model)],
        ["evaluate", *data[:2], "--model", str(model), "--patients", "3", "--json", str(figures)],
    ]
    for command in commands:
        done = CliRunner().invoke(app, command)
        assert done.exit_code == 0, done.output
    card = json.loads(model.with_suffix(".json").read_text())
    assert card["training"]["patients"] == [1, 2]
    assert card["metrics"]["validation"]["patients"] == list(range(3, 23))
    # Five patients show nothing of a type.
    assert set(card["claims"].values()) == {"NOT_TOLD_APART"}
    assert json.loads(figures.read_text())["model"]["sha256"] == card["sha256"]


def test_a_wrong_folder_is_one_line_and_exit_code_2(tmp_path):
    done = CliRunner().invoke(app, ["fit", "--data", str(tmp_path), "--run", str(tmp_path / "r")])
    assert done.exit_code == 2
    assert "hemorrhage_diagnosis.csv" in done.output
    assert "Traceback" not in done.output


def test_a_share_of_all_patients_has_an_interval_below_one():
    assert exact(3, 3) == pytest.approx([0.2924, 1.0], abs=1e-4)
    assert exact(0, 6) == pytest.approx([0.0, 0.4593], abs=1e-4)
    assert exact(27, 30) == pytest.approx([0.7347, 0.9789], abs=1e-4)
    assert exact(0, 0) == []


def test_a_figure_that_no_draw_changes_has_no_interval():
    assert bootstrap(range(5), lambda rows: {"same": 1.0})["same"] == []
