import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from worker.munet import checkpoint, inference
from worker.munet.bleed_types import BleedTypes
from worker.munet.card import LABELS, Card, OperatingPoint, Platt, Scoring
from worker.munet.device import on, resolve
from worker.munet.errors import CheckpointError, DeviceError
from worker.munet.inference import Maps, Predictor, calibrate, slice_logits, study_logits
from worker.munet.labels import label_frame, one_type_each
from worker.munet.network import MUNet, NetworkConfig
from worker.munet.preprocessing import Preprocessing, Projection, Series
from worker.munet.resize import Box

BACK = Projection(Box(0, 0, 64), np.array([0]), (64, 64))
PICTURES = np.zeros((1, 64, 64), np.uint8)
SHIPPED = Path(inference.__file__).with_name("weights") / "munet.safetensors"


@pytest.fixture
def predictor(tmp_path):
    torch.manual_seed(0)
    config = NetworkConfig(width=4)
    card = Card(
        "tiny",
        "",
        config,
        Preprocessing(size=64),
        Scoring(flip=True, mask_weight=0.5, top=2),
        {"balanced": OperatingPoint(mask=0.4, seed=0.4)},
        "balanced",
    )
    checkpoint.write(tmp_path / "tiny.safetensors", MUNet(config).state_dict(), card)
    return Predictor(tmp_path / "tiny.safetensors", "cpu")


@pytest.fixture
def series():
    rng = np.random.default_rng(0)
    return rng.normal(40, 40, (5, 50, 80)).astype(np.float32), np.arange(5) * 5.0


def test_a_prediction_lies_on_the_source_grid(predictor, series):
    found = predictor.predict(*series)
    assert found.labels.shape == series[0].shape
    assert found.labels.dtype == np.uint8
    assert found.slice_probabilities.shape == (5, 6)
    assert tuple(found.probabilities) == LABELS


def test_an_operating_point_is_taken_by_its_name(predictor, tmp_path):
    points = {**predictor.card.operating_points, "high-ppv": OperatingPoint(study_any=0.9)}
    path = tmp_path / "two.safetensors"
    card = replace(predictor.card, operating_points=points)
    checkpoint.write(path, predictor.network.state_dict(), card)
    assert Predictor(path, "cpu").card.operating_point.study_any == 0.5
    assert Predictor(path, "cpu", "high-ppv").card.operating_point.study_any == 0.9
    with pytest.raises(CheckpointError, match=r"'cautious'; it has balanced, high-ppv"):
        Predictor(path, "cpu", "cautious")


def test_a_type_in_the_blood_counts_and_beside_it_does_not():
    masks = torch.full((1, 6, 64, 64), -8.0)
    masks[:, -1, 10:20, 10:20] = 6  # blood
    masks[:, 3, 10:20, 10:20] = 4  # of type SAH
    masks[:, 0, 40:60, 40:60] = 9  # EDH where no blood is
    found, shares = inference.evidence(masks)
    assert found.item() == pytest.approx(6)
    assert shares[0].argmax() == 3
    assert shares[0, 3].item() == pytest.approx(0, abs=0.01)  # nearly certain
    assert shares[0, 0] < -10


def test_the_masks_evidence_counts_in_proportion_to_its_weights(predictor, series):
    pictures = predictor.card.preprocessing.pictures(series[0], Box.frame(50, 80))
    given = Series(pictures, predictor.card.preprocessing.layout(series[1]), series[1])

    def logits(found, share):
        scoring = Scoring(mask_weight=found, share_weight=share)
        return inference.run(predictor.network, given, scoring, predictor.device).logits

    plain, found, share = logits(0, 0), logits(1, 0) - logits(0, 0), logits(0, 1) - logits(0, 0)
    assert np.allclose(found, found[:, -1:], atol=1e-5)  # all types and any alike
    assert (share[:, -1] == 0).all()
    assert (share[:, :-1] < 0).all()
    assert np.allclose(logits(0.5, 0.3), plain + 0.5 * found + 0.3 * share, atol=1e-4)


def test_a_thin_series_with_types_of_whole_bleeds_and_bones_window_is_read(tmp_path):
    torch.manual_seed(0)
    network = NetworkConfig(width=4, in_channels=4)
    kinds = BleedTypes(1.0, (0.0,) * 5, ((0.0,) * 9,) * 5, (0.0,) * 9, (1.0,) * 9, 0.5)
    card = Card(
        "tiny",
        "",
        network,
        Preprocessing(size=64, channels="bone"),
        Scoring(),
        {"balanced": OperatingPoint(mask=0.0, seed=0.0)},  # all of it is blood
        "balanced",
        bleed_types=kinds,
    )
    checkpoint.write(tmp_path / "tiny.safetensors", MUNet(network).state_dict(), card)
    hu = np.random.default_rng(0).normal(40, 40, (20, 50, 80)).astype(np.float32)
    found = Predictor(tmp_path / "tiny.safetensors", "cpu").predict(hu, np.arange(20) * 1.0)
    assert found.labels.shape == hu.shape
    (whole,) = set(np.unique(found.labels[:, 20:30, 30:50]))  # it hangs together: one answer
    assert 1 <= whole <= 6


def test_batches_do_not_change_a_prediction(predictor, series, monkeypatch):
    whole = predictor.predict(*series)
    monkeypatch.setattr(inference, "BATCH", 2)
    parts = predictor.predict(*series)
    assert np.allclose(whole.slice_probabilities, parts.slice_probabilities, atol=1e-5)
    assert (whole.labels != parts.labels).mean() < 1e-3


def test_with_flip_a_mirrored_head_gets_mirrored_maps_and_the_same_scores(predictor, series):
    pictures = predictor.card.preprocessing.pictures(series[0], Box.frame(50, 80))
    layout = predictor.card.preprocessing.layout(series[1])
    plain = predictor.run(Series(pictures, layout, series[1]))
    mirrored = predictor.run(Series(np.ascontiguousarray(pictures[..., ::-1]), layout, series[1]))
    assert np.allclose(plain.logits, mirrored.logits, atol=1e-4)
    assert np.allclose(plain.any_map, mirrored.any_map[..., ::-1], atol=2e-3)


def test_a_stack_without_slices_is_refused(predictor):
    with pytest.raises(ValueError, match="HU must be"):
        predictor.predict(np.zeros((0, 4, 4), np.float32), np.zeros(0))


def test_the_study_score_is_the_mean_of_the_highest_slices():
    logits = np.array([[0.0], [4.0], [2.0]], np.float32)
    maps = Maps(np.arange(3) * 5.0, logits, np.zeros(0), np.zeros(0))
    assert study_logits(maps, Scoring(top=2)).tolist() == [3.0]


def test_one_loud_slice_among_quiet_ones_raises_a_study_less_than_two():
    scoring, scores = Scoring(study_mm=5.0), []
    for loud in ([0, 6, 0, 0], [0, 6, 6, 0]):
        logits = np.array(loud, np.float32)[:, None]
        maps = Maps(np.arange(4) * 5.0, logits, np.zeros(0), np.zeros(0))
        scores.append(float(study_logits(maps, scoring)[0]))
    assert scores[0] < 4 < scores[1]


def test_scores_of_slices_nearby_are_averaged_by_their_distance_in_mm(predictor):
    logits = np.zeros((3, 6), np.float32)
    logits[1] = 8
    scoring = replace(predictor.card.scoring, smooth_mm=5.0)
    near, far = (
        slice_logits(Maps(positions, logits, np.zeros(0), np.zeros(0)), scoring)[:, -1]
        for positions in (np.array([0.0, 5.0, 10.0]), np.array([0.0, 50.0, 100.0]))
    )
    assert near[0] > 1
    assert near[1] < 5
    assert far == pytest.approx([0, 8, 0])


def test_types_are_averaged_apart_from_any(predictor):
    logits = np.zeros((3, 6), np.float32)
    logits[1] = 8
    scoring = replace(predictor.card.scoring, smooth_mm=0.0, types_mm=60.0)
    maps = Maps(np.array([0.0, 5.0, 10.0]), logits, np.zeros(0), np.zeros(0))
    found = slice_logits(maps, scoring)
    assert found[:, -1].tolist() == [0, 8, 0]
    assert found[:, :-1] == pytest.approx(8 / 3, rel=0.01)


def test_calibration_is_a_line_through_a_sigmoid():
    platt = Platt((2.0,) * 6, (-1.0,) * 6)
    assert calibrate(np.full((1, 6), 0.5, np.float32), platt) == pytest.approx(0.5)


def raw_maps(logit):
    any_map = np.zeros((1, 64, 64), np.float16)
    any_map[0, 20:40, 20:40] = 0.9
    scores, types = np.full((1, 6), logit, np.float32), np.full((1, 64, 64), 3, np.uint8)
    return Maps(np.zeros(1), scores, any_map, types)


def test_a_slice_below_its_gate_has_no_label(predictor):
    gated = replace(predictor.card.operating_point, slice_gate=0.5)
    predictor.card = replace(predictor.card, operating_points={"balanced": gated})
    assert predictor.read(raw_maps(-1.0), BACK, PICTURES).labels.max() == 0
    assert predictor.read(raw_maps(1.0), BACK, PICTURES).labels.sum() == 3 * 400


def test_a_study_below_its_gate_has_no_label(predictor):
    gated = replace(predictor.card.operating_point, study_gate=0.5)
    predictor.card = replace(predictor.card, operating_points={"balanced": gated})
    assert predictor.read(raw_maps(-1.0), BACK, PICTURES).labels.max() == 0


def frame(point):
    any_map = np.zeros((64, 64), np.float32)
    any_map[10:20, 10:20] = 0.6
    any_map[40:43, 40:43] = 0.95
    types = np.full((64, 64), 1, np.uint8)
    types[40:43, 40:43] = 5
    return label_frame(any_map, types, point, Box(0, 0, 64), (64, 64))


def test_each_pixel_takes_its_likeliest_type():
    assert np.unique(frame(OperatingPoint())).tolist() == [0, 1, 5]


def test_a_component_below_the_minimum_size_goes():
    assert np.unique(frame(OperatingPoint(minimum_px=10))).tolist() == [0, 1]


def test_a_component_without_a_certain_pixel_goes():
    assert np.unique(frame(OperatingPoint(seed=0.8))).tolist() == [0, 5]


def test_a_bleed_over_several_slices_has_the_type_that_most_of_it_speaks_for():
    kept, types = np.zeros((3, 20, 20), bool), np.full((3, 20, 20), 2, np.uint8)
    kept[:, 5:10, 5:10] = True
    types[1:, 5:10, 5:10] = 1
    made = one_type_each(kept, np.full(kept.shape, 0.9), types)
    assert np.unique(made[kept]).tolist() == [1]
    assert made[0, 15, 15] == 2


def test_bleeds_that_do_not_touch_keep_types_of_their_own():
    kept, types = np.zeros((1, 20, 20), bool), np.full((1, 20, 20), 1, np.uint8)
    kept[0, 2:6, 2:6] = kept[0, 12:16, 12:16] = True
    types[0, 12:16, 12:16] = 5
    made = one_type_each(kept, np.full(kept.shape, 0.9), types)
    assert made[0, 3, 3] == 1
    assert made[0, 13, 13] == 5


def test_the_pixels_of_a_more_certain_part_outvote_the_others():
    kept, types = np.ones((1, 4, 4), bool), np.full((1, 4, 4), 1, np.uint8)
    types[0, :2] = 3
    certain = np.full((1, 4, 4), 0.4)
    certain[0, :2] = 0.9
    assert np.unique(one_type_each(kept, certain, types)).tolist() == [3]


def test_auto_finds_a_device():
    assert resolve("auto").type in ("cpu", "cuda")


@pytest.mark.parametrize("name", ["tpu", "", "cuda:99", "meta"])
def test_a_device_that_is_not_there_is_refused(name):
    with pytest.raises(DeviceError, match=name or "device"):
        resolve(name)


def test_the_shipped_checkpoint_loads_and_is_small_enough():
    network, card = checkpoint.read(SHIPPED)
    assert SHIPPED.stat().st_size <= 24 * 2**20
    shape = (1, card.network.in_channels, 256, 256)
    assert network(torch.zeros(shape)).scores.shape == (1, len(LABELS))
    assert card.operating_point.mask > 0


@pytest.mark.slow
def test_inference_needs_no_queue_database_or_dicom():
    code = (
        "import sys, worker.munet.inference;"
        "print([m for m in ('celery', 'sqlalchemy', 'pynetdicom', 'schema') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_on_a_processor_values_stay_where_they_are():
    values = torch.rand(2, 3)
    assert on(values, torch.device("cpu")).data_ptr() == values.data_ptr()


def test_a_gpu_gets_values_from_pinned_memory_without_a_wait(monkeypatch):
    calls = []

    def pinned(values):
        calls.append("pinned")
        return values

    def moved(values, device, non_blocking=False):
        calls.append((device.type, non_blocking))
        return values

    monkeypatch.setattr(torch.Tensor, "pin_memory", pinned)
    monkeypatch.setattr(torch.Tensor, "to", moved)
    on(torch.zeros(1), torch.device("cuda"))
    assert calls == ["pinned", ("cuda", True)]


def test_the_shipped_model_outlines_only_studies_that_it_calls():
    points = checkpoint.read_card(SHIPPED).operating_points
    assert all(point.study_gate == point.study_any for point in points.values())
