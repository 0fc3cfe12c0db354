"""What the look means: a series that the model must not read, and what is said beside a result."""

from collections.abc import Iterator
from typing import Final

from schema.reason_words import NO_HOUNSFIELD
from worker.look.contrast import Contrast
from worker.look.series_look import Look
from worker.look.texture import Kernel
from worker.look.unlikeness import Unlikeness
from worker.square import is_square

METAL_ML: Final = 0.05
MOTION_MM: Final = 6.0  # the 61 CT-ICH patients stay below 5, but for one with 9
THIN_MM: Final = 2.0


def refusal(look: Look) -> str:
    """Say why the model must not read this series, or nothing.

    Only what is certain: a bleed that is not analysed for a wrong reading of its pixels is the
    worst that can happen here, so what is in doubt is marked instead.
    """
    if not look.is_head:
        may_be_a_head = NO_HOUNSFIELD in look.seen
        step = "send the original series" if may_be_a_head else "send the head as its own series"
        return f"{look.seen}; {step}"
    if look.contrast is Contrast.ENHANCED:
        return (
            f"vessels are bright on both sides in {look.vessel_share:.0%} of the vault's slices: a"
            " contrast agent was given, and the model reads plain heads; send the plain series"
        )
    return ""


def marks(look: Look, unlike: Unlikeness | None = None) -> Iterator[str]:
    """Say what a reader of the result should know of the images, in words.

    Parameters
    ----------
    unlike
        How unlike the training data of the model they are, where a model read them.
    """
    if unlike is not None and unlike.is_high:
        yield f"unlike the training data: {unlike}"
    if look.contrast is Contrast.DOUBTFUL:
        yield f"perhaps a contrast agent: bright spots in {look.vessel_share:.0%} of the vault"
    if look.texture is not None and look.texture.kernel is not Kernel.SOFT:
        sharp = "sharp" if look.texture.kernel is Kernel.SHARP else "perhaps a sharp"
        yield f"{sharp} kernel (noise of {look.texture.noise_hu:.0f} HU)"
    if 0 < look.step_mm < THIN_MM:
        yield f"thin slices ({look.step_mm:.1f} mm apart)"
    yield from _thickness(look)
    if not is_square(look.pixel_aspect_ratio):
        ratio = f"{look.pixel_aspect_ratio:.2f} times as high as wide"
        yield f"pixels not square: {ratio}; the model saw the head on square ones"
    if look.metal_ml >= METAL_ML:
        yield f"metal in or at the head ({look.metal_ml:.1f} mL)"
    if look.motion_mm >= MOTION_MM:
        yield f"the head moved between slices ({look.motion_mm:.0f} mm)"
    if look.open_skull_slices:
        yield f"skull open in {look.open_skull_slices} slices"


def _thickness(look: Look) -> Iterator[str]:
    """Say where slices leave out what lies between them, or may do so."""
    if look.coverage is None:
        return
    unseen_mm, apart = look.coverage.usual_unseen_mm, f"{look.step_mm:.1f} mm apart"
    if not look.coverage.is_stated:
        thick_mm = look.step_mm - unseen_mm
        yield f"no Slice Thickness: slices {apart} are taken to be {thick_mm:.1f} mm thick"
    elif unseen_mm:
        yield (
            f"{unseen_mm:.1f} mm between slices {apart} are not imaged, or Slice Thickness is wrong"
        )
