"""What the pixels say: bodies are no heads, enhanced heads are not plain, parts are not whole."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from schema.reason_words import NO_HOUNSFIELD
from tests.support.bodies import STRANGERS, body, enhanced
from tests.support.heads import (
    ctich,
    kept,
    sharpened,
    thinned,
    with_removed_vault,
    without_middle,
)
from tests.support.phantoms import ge_series
from worker.look.contrast import Contrast
from worker.look.marks import marks, refusal
from worker.look.series_look import look
from worker.look.texture import Kernel
from worker.rules import load_rules
from worker.slices import read_series
from worker.volume import Volume

pytestmark = pytest.mark.slow  # looks at whole heads and bodies

THICK_MM = 5.0
LIMITS = load_rules().coverage
BLEEDING, HEALTHY, CHILD, INFANT = 77, 57, 67, 85


@pytest.fixture(scope="module")
def head() -> Volume:
    return ctich(HEALTHY)


@pytest.mark.parametrize("name", STRANGERS)
@pytest.mark.parametrize("noise_hu", [5.0, 40.0])
def test_a_body_is_no_head(name: str, noise_hu: float) -> None:
    seen = look(body(STRANGERS[name], noise_hu))
    assert not seen.is_head
    assert "no closed skull with brain inside in any of 13 slices" in refusal(
        seen
    )  # a dozen, both ends


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("chest", "as in lungs"),
        ("cone_beam", "no Hounsfield units, as of a cone beam"),
        ("spine", "bone encloses 3 cm2 at most"),
        ("nothing", "bone encloses nothing"),
    ],
)
def test_the_reason_says_what_was_seen_instead(name: str, words: str) -> None:
    assert words in refusal(look(body(STRANGERS[name])))


@pytest.mark.parametrize(("slope", "intercept_hu"), [(1.0, 1024.0), (0.25, 256.0), (2.0, 0.0)])
def test_a_head_in_other_values_than_hounsfield_units_is_told(
    head: Volume, slope: float, intercept_hu: float
) -> None:
    seen = look(replace(head, hu=head.hu * np.float32(slope) + np.float32(intercept_hu)))
    assert NO_HOUNSFIELD in refusal(seen)


@pytest.mark.parametrize("patient", [BLEEDING, HEALTHY, CHILD, INFANT])
def test_a_real_plain_head_is_analysed_without_a_doubt(patient: int) -> None:
    seen = look(ctich(patient), THICK_MM)
    assert (seen.is_head, seen.contrast, refusal(seen)) == (True, Contrast.PLAIN, "")
    assert seen.coverage is not None
    assert seen.coverage.share > 0.9
    assert seen.texture is not None
    assert seen.texture.kernel is Kernel.SOFT


def test_a_tilted_head_of_another_scanner_is_plain_and_whole() -> None:
    source = read_series(ge_series())
    assert set(source.thickness_mm) == {4.0, 7.0}  # each slice its own: the vault is no gap
    seen = look(source.volume, source.thickness_mm)
    assert (seen.is_head, seen.contrast, refusal(seen)) == (True, Contrast.PLAIN, "")
    assert seen.coverage is not None
    assert (seen.coverage.share, seen.coverage.gaps) == (1.0, ())


@pytest.mark.parametrize("vessel_hu", [140.0, 350.0], ids=["venous", "angiography"])
def test_a_head_with_filled_vessels_is_refused_with_the_reason(
    head: Volume, vessel_hu: float
) -> None:
    seen = look(enhanced(head, vessel_hu), THICK_MM)
    assert seen.contrast is Contrast.ENHANCED
    assert "contrast agent was given" in refusal(seen)


def test_a_large_bright_bleed_is_no_contrast_agent(head: Volume) -> None:
    hu = head.hu.copy()
    hu[12:32, 200:330, 270:360] = 105  # a fresh clot above all that was measured in heads
    assert look(replace(head, hu=hu)).contrast is Contrast.PLAIN


def test_calcium_on_both_sides_of_a_few_slices_is_no_contrast_agent(head: Volume) -> None:
    hu = head.hu.copy()
    for column in (220, 290):
        hu[22:25, 250:262, column : column + 10] = 180  # choroid plexus
    assert look(replace(head, hu=hu)).contrast is Contrast.PLAIN


def test_the_noise_of_a_very_low_dose_is_no_contrast_agent(head: Volume) -> None:
    noise = np.random.default_rng(2).normal(size=head.hu.shape).astype(np.float32)
    soft = np.stack([cv2.GaussianBlur(each, (0, 0), 2.5) for each in noise])
    noisy = replace(head, hu=head.hu + soft * (30 / soft.std()))
    assert look(noisy, THICK_MM).contrast is Contrast.PLAIN


def test_a_doubt_about_contrast_is_said_and_refuses_nothing(head: Volume) -> None:
    filled = enhanced(head, 140.0)
    hu = np.where(np.arange(len(head.hu))[:, None, None] % 2, filled.hu, head.hu)
    seen = look(replace(head, hu=hu))
    assert (seen.contrast, refusal(seen)) == (Contrast.DOUBTFUL, "")
    assert any("perhaps a contrast agent" in mark for mark in marks(seen))


def test_a_head_with_half_its_vault_removed_is_a_head(head: Volume) -> None:
    seen = look(with_removed_vault(head), THICK_MM)
    assert (seen.is_head, refusal(seen)) == (True, "")
    assert any("skull open" in mark for mark in marks(seen))


def test_the_noise_of_a_bone_kernel_is_sharp(head: Volume) -> None:
    seen = look(sharpened(head), THICK_MM)
    assert (seen.is_head, seen.contrast) == (True, Contrast.PLAIN)
    assert any(mark.startswith("sharp kernel") for mark in marks(seen))


def test_thin_slices_are_a_plain_head_and_said(head: Volume) -> None:
    seen = look(thinned(kept(head, range(8, 35)), 5))
    assert (seen.is_head, seen.contrast) == (True, Contrast.PLAIN)
    assert "thin slices (1.0 mm apart)" in list(marks(seen))


def test_metal_and_a_moved_head_are_said(head: Volume) -> None:
    hu = head.hu.copy()
    hu[20:22, 240:250, 240:250] = 3000
    hu[25:] = np.roll(hu[25:], 40, axis=2)
    said = " ".join(marks(look(replace(head, hu=hu), THICK_MM)))
    assert "metal in or at the head" in said
    assert "the head moved between slices" in said


def test_a_head_without_its_five_middle_slices_has_a_gap_of_30_mm(head: Volume) -> None:
    coverage = look(without_middle(head, 5), THICK_MM).coverage
    assert coverage is not None
    (gap,) = coverage.gaps
    assert (gap.distance_mm, gap.unseen_mm) == (30.0, 25.0)
    assert coverage.share < 0.85


@pytest.mark.parametrize(("every", "share"), [(2, 0.5), (3, 0.33)])
def test_what_evenly_missing_slices_hold_was_not_seen(
    head: Volume, every: int, share: float
) -> None:
    seen = look(kept(head, range(0, len(head.hu), every)), THICK_MM)
    assert seen.coverage is not None
    assert seen.coverage.share == pytest.approx(share, abs=0.05)
    assert {gap.unseen_mm for gap in seen.coverage.gaps} == {5.0 * (every - 1)}
    assert any("are not imaged, or Slice Thickness is wrong" in mark for mark in marks(seen))


def test_slices_that_touch_but_for_a_rounding_leave_nothing_out(head: Volume) -> None:
    coverage = look(head, 4.9).coverage
    assert coverage is not None
    assert (coverage.share, coverage.gaps) == (1.0, ())


@pytest.mark.parametrize(("every", "is_whole"), [(1, True), (2, False)])
def test_slices_of_no_stated_thickness_are_not_taken_for_thicker_than_usual(
    head: Volume, every: int, is_whole: bool
) -> None:
    seen = look(kept(head, range(0, len(head.hu), every)))
    assert seen.coverage is not None
    assert (seen.coverage.share >= LIMITS.share) is is_whole
    assert any(mark.startswith("no Slice Thickness") for mark in marks(seen))


@pytest.mark.parametrize("half", [slice(0, 18), slice(18, None)], ids=["lower", "upper"])
def test_half_a_head_is_half_seen(head: Volume, half: slice) -> None:
    coverage = look(kept(head, np.arange(len(head.hu))[half]), THICK_MM).coverage
    assert coverage is not None
    assert 0.3 < coverage.share < 0.7


def test_the_coverage_has_the_form_that_everybody_reads(head: Volume) -> None:
    coverage = look(without_middle(head, 5), THICK_MM).coverage
    assert coverage is not None
    stored = coverage.to_json()
    assert list(stored) == ["from_mm", "to_mm", "share", "gaps"]
    assert [list(gap) for gap in stored["gaps"]] == [["from_mm", "to_mm"]]  # type: ignore[attr-defined]


def test_the_table_and_the_neck_below_a_head_are_not_counted_as_head() -> None:
    coverage = look(ctich(123), THICK_MM).coverage  # 39 slices that begin below the jaw
    assert coverage is not None
    assert coverage.to_mm - coverage.from_mm == pytest.approx(115, abs=10)
