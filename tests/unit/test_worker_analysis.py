"""The whole line: files in, priority and Segmentation out."""

import errno
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import UID

from schema.cut_short import CUT_SHORT
from schema.errors import PermanentError, SourceFileMissingError, StorageFullError, TransientError
from schema.hemorrhage_subtypes import KEYS, Claim
from schema.states import Outcome
from tests.support.phantoms import (
    BRAIN_HU,
    FEW_MM,
    HEAD_MM,
    SPHERE_ML,
    Phantom,
    ThresholdPredictor,
    lying,
    write,
)
from tests.support.wording import is_plain
from worker import durable
from worker.analysis import UNCERTAIN, Analysis, analyse
from worker.durable import write_once
from worker.priority import load_rules
from worker.square import put_back, squared
from worker.uids import stable_uid

RULES = load_rules()


def test_a_bleed_of_65_ml_is_critical_and_segmented(tmp_path: Path) -> None:
    paths = Phantom(HEAD_MM, tilt_degrees=15, skull=True).write(tmp_path)
    analysis = analyse(paths, ThresholdPredictor(), RULES, tmp_path / "out")
    assert (analysis.priority.level, analysis.priority.outcome) == (1, Outcome.POSITIVE)
    assert analysis.findings[1].volume_ml == pytest.approx(SPHERE_ML, rel=0.02)
    kinds = [written.kind for written in analysis.objects]
    assert kinds == ["SEG", "SR", "SC", "SC", "SC", "SC", "SC", "KO"]


def test_a_healthy_head_is_negative_with_a_report_and_a_page(tmp_path: Path) -> None:
    paths = Phantom(HEAD_MM, skull=True, sphere_hu=BRAIN_HU).write(tmp_path)
    analysis = analyse(paths, ThresholdPredictor(), RULES, tmp_path / "out")
    assert (analysis.priority.level, analysis.priority.outcome) == (4, Outcome.NEGATIVE)
    assert [written.kind for written in analysis.objects] == ["SR", "SC"]


@pytest.mark.parametrize("multi_frame", [False, True])
def test_a_head_half_of_which_lies_between_its_slices_is_not_negative(
    multi_frame: bool, tmp_path: Path
) -> None:
    phantom = Phantom(HEAD_MM[::2], skull=True, sphere_hu=BRAIN_HU, thickness_mm=5.0)
    paths = phantom.write_enhanced(tmp_path) if multi_frame else phantom.write(tmp_path)
    analysis = analyse(paths, ThresholdPredictor(), RULES, tmp_path / "out")
    assert analysis.priority.outcome is Outcome.INDETERMINATE
    assert "5.0 mm unseen between most slices" in analysis.priority.reason
    assert "or Slice Thickness is wrong" in " ".join(analysis.marks)


def test_an_abort_that_cut_the_series_short_is_said_with_the_reason(tmp_path: Path) -> None:
    paths = Phantom(HEAD_MM, skull=True).write(tmp_path)
    analysis = analyse(paths, ThresholdPredictor(), RULES, tmp_path / "out", cut_short=True)
    assert analysis.priority.reason.startswith(f"{CUT_SHORT}; ")
    (report,) = [written for written in analysis.objects if written.kind == "SR"]
    assert CUT_SHORT.encode() in report.path.read_bytes()


def test_an_analysis_says_what_drew_it_and_how_long_it_took(tmp_path: Path) -> None:
    paths = Phantom(FEW_MM, skull=True).write(tmp_path)
    analysis = analyse(paths, ThresholdPredictor(), RULES, tmp_path / "out")
    assert (analysis.model, analysis.model_sha256) == ("threshold", "ab" * 32)
    assert list(analysis.timings_s) == ["read", "look", "predict", "measure", "prioritise", "write"]
    assert min(analysis.timings_s.values()) >= 0


def test_an_analysis_says_what_is_unusual_about_the_stack(tmp_path: Path) -> None:
    paths = Phantom([0.0, 5.0, 10.0, 25.0, 30.0], tilt_degrees=10, skull=True).write(tmp_path)
    analysis = analyse(paths, ThresholdPredictor(), RULES, tmp_path / "out")
    assert analysis.tilt_degrees == pytest.approx(10, abs=1e-4)
    assert analysis.gaps == ("14.8 mm after slice 3 where 4.9 mm is usual",)


def test_the_model_gets_the_slices_from_below(tmp_path: Path) -> None:
    seen = {}

    class Recorder(ThresholdPredictor):
        def predict(self, hu: np.ndarray, slice_position_mm: np.ndarray) -> SimpleNamespace:
            seen["slice_position_mm"], seen["middle"] = slice_position_mm, hu[0, 32, 8]
            return super().predict(hu, slice_position_mm)

    analyse(
        Phantom(FEW_MM, reversed=True, skull=True).write(tmp_path),
        Recorder(),
        RULES,
        tmp_path / "out",
    )
    assert seen["slice_position_mm"] == pytest.approx(FEW_MM)
    assert seen["middle"] == BRAIN_HU


def squashed(phantom: Phantom, rows: int, columns: int) -> list[Dataset]:
    """Keep each so many-th row and column of a phantom, which stays as large as it is."""
    datasets = phantom.datasets
    for index, ds in enumerate(datasets):
        kept = phantom.stored(index)[::rows, ::columns]
        ds.Rows, ds.Columns = kept.shape
        ds.PixelSpacing = [rows * phantom.spacing_mm, columns * phantom.spacing_mm]
        ds.PixelData = kept.tobytes()
    return datasets


@pytest.mark.parametrize(("rows", "columns"), [(1, 2), (2, 1)])
def test_the_model_gets_square_pixels_and_its_masks_lie_on_those_that_came(
    rows: int, columns: int, tmp_path: Path
) -> None:
    seen = {}

    class Recorder(ThresholdPredictor):
        def predict(self, hu: np.ndarray, slice_position_mm: np.ndarray) -> SimpleNamespace:
            seen["skull"] = hu[len(hu) // 2] > BRAIN_HU + 100
            return super().predict(hu, slice_position_mm)

    sent = squashed(Phantom(HEAD_MM, skull=True, size=128, spacing_mm=1.25), rows, columns)
    analysis = analyse(write(sent, tmp_path), Recorder(), RULES, tmp_path / "out")
    high, wide = (np.ptp(np.flatnonzero(seen["skull"].any(axis=axis))) for axis in (1, 0))
    assert high == pytest.approx(wide, abs=2)
    assert analysis.findings[0].volume_ml == pytest.approx(SPHERE_ML, rel=0.1)  # and a skull's edge
    assert any(mark.startswith("pixels not square: ") for mark in analysis.marks)
    assert analysis.refused == ()


@pytest.mark.parametrize("turns", [0, 1, 2, 3], ids=["supine", "left", "prone", "right"])
def test_the_model_gets_the_face_up_and_its_masks_lie_where_the_blood_is(
    turns: int, tmp_path: Path
) -> None:
    seen = {}

    class Recorder(ThresholdPredictor):
        def predict(self, hu: np.ndarray, slice_position_mm: np.ndarray) -> SimpleNamespace:
            seen["blood"] = np.argwhere((hu >= 60) & (hu <= 80)).mean(axis=0)[1:]
            return super().predict(hu, slice_position_mm)

    scanned = Phantom(HEAD_MM, skull=True, sphere_hu=BRAIN_HU).datasets
    for ds in scanned[6:8]:
        pixels = ds.pixel_array.copy()
        pixels[14:24, 28:36] = 70 + 1024  # towards the face, in the middle
        ds.PixelData = pixels.tobytes()
    sent = lying(scanned, turns)
    analysis = analyse(write(sent, tmp_path), Recorder(), RULES, tmp_path / "out")
    assert seen["blood"].tolist() == pytest.approx([18.5, 31.5], abs=0.6)
    (seg,) = (dcmread(made.path) for made in analysis.objects if made.kind == "SEG")
    outlined = seg.pixel_array.any(axis=0) if seg.pixel_array.ndim == 3 else seg.pixel_array
    blood = np.zeros((64, 64), bool)
    blood[14:24, 28:36] = True
    assert (outlined & np.rot90(blood, turns)).sum() == blood.sum()
    assert analysis.findings[0].volume_ml > 0


@pytest.mark.parametrize("spacing_mm", [(0.4, 0.8), (0.8, 0.4)])
def test_what_is_found_on_square_pixels_comes_back_to_its_place(
    spacing_mm: tuple[float, float],
) -> None:
    hu = np.zeros((2, 64, 48), np.float32)
    hu[0, 8:24, 10:20] = hu[1, 40:60, 30:40] = 100
    found = put_back((squared(hu, spacing_mm) > 50).astype(np.uint8), (64, 48))
    assert np.count_nonzero((found > 0) != (hu > 0)) < 0.1 * np.count_nonzero(hu)


def test_square_pixels_are_left_as_they_are() -> None:
    hu = np.zeros((2, 64, 48), np.float32)
    assert squared(hu, (0.5, 0.51)) is hu


def test_a_model_whose_answer_makes_no_sense_ends_the_study(tmp_path: Path) -> None:
    class Broken(ThresholdPredictor):
        def predict(self, hu: np.ndarray, slice_position_mm: np.ndarray) -> SimpleNamespace:
            answer = super().predict(hu, slice_position_mm)
            answer.probabilities["SDH"] = float("nan")
            return answer

    with pytest.raises(PermanentError, match="makes no sense") as refused:
        analyse(Phantom(FEW_MM, skull=True).write(tmp_path), Broken(), RULES, tmp_path / "out")
    assert "model threshold: SDH: probability nan" in refused.value.detail
    assert is_plain(str(refused.value))


def test_blood_of_an_uncertain_type_counts_and_is_named_and_excluded_nothing(
    tmp_path: Path,
) -> None:
    class Doubting(ThresholdPredictor):
        def predict(self, hu: np.ndarray, slice_position_mm: np.ndarray) -> SimpleNamespace:
            answer = super().predict(hu, slice_position_mm)
            answer.labels[answer.labels > 0] = UNCERTAIN
            return answer

    model = Doubting()
    model.card.claims = {"EDH": Claim.HINTED}
    paths = Phantom(HEAD_MM, skull=True).write(tmp_path)
    analysis = analyse(paths, model, RULES, tmp_path / "out")
    assert analysis.findings[0].volume_ml == pytest.approx(SPHERE_ML, rel=0.02)
    assert analysis.priority.level == 1
    assert not any(key in analysis.priority.reason for key in KEYS)
    written = {kind: path.read_bytes() for kind, path in kinds_of(analysis)}
    assert b"Hemorrhage, type not told apart" in written["SEG"]
    assert b"none found" not in written["SEG"]
    assert b"Absent" not in written["SR"]


def kinds_of(analysis: Analysis) -> list[tuple[str, Path]]:
    return [(written.kind, written.path) for written in analysis.objects]


def test_a_missing_file_leaves_no_object(tmp_path: Path) -> None:
    paths = Phantom(FEW_MM, skull=True).write(tmp_path)
    paths[0].unlink()
    with pytest.raises(SourceFileMissingError):
        analyse(paths, ThresholdPredictor(), RULES, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("subtype", KEYS)
def test_every_type_reaches_the_reading_list(subtype: str, tmp_path: Path) -> None:
    paths = Phantom(FEW_MM, skull=True).write(tmp_path)
    analysis = analyse(paths, ThresholdPredictor(subtype), RULES, tmp_path / "out")
    assert analysis.priority.level in (1, 2)
    assert subtype in analysis.priority.reason


def test_a_file_is_written_once(tmp_path: Path) -> None:
    path = tmp_path / "result"
    write_once(path, lambda file: file.write(b"first"))
    write_once(path, lambda file: file.write(b"second"))
    assert path.read_bytes() == b"first"


def test_a_file_that_another_worker_finished_meanwhile_stays(tmp_path: Path) -> None:
    path = tmp_path / "result"

    def slowly(file: object) -> None:
        path.write_bytes(b"theirs")

    write_once(path, slowly)
    assert path.read_bytes() == b"theirs"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    def fail(file: object) -> None:
        raise ValueError("half-way")

    with pytest.raises(ValueError, match="half-way"):
        write_once(tmp_path / "result", fail)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("number", "error"), [(errno.ENOSPC, StorageFullError), (errno.EIO, TransientError)]
)
def test_a_storage_that_takes_nothing_is_worth_another_try(
    number: int, error: type[TransientError], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(handle: int) -> None:
        raise OSError(number, "no")

    monkeypatch.setattr(durable.os, "fsync", refuse)
    with pytest.raises(error, match="check the storage"):
        write_once(tmp_path / "result", lambda file: None)


def test_a_uid_depends_on_its_parts_alone() -> None:
    assert stable_uid("a", "b") == stable_uid("a", "b") != stable_uid("ab")


def test_a_uid_is_valid() -> None:
    uid = UID(stable_uid("a"))
    assert uid.is_valid
    assert len(uid) <= 64
