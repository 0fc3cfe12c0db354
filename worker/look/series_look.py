"""Look at a series before the model does: what it shows, and what to say of it."""

from dataclasses import asdict, dataclass
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from worker.look.artefacts import metal_ml, motion_mm
from worker.look.contrast import RIM_MM, Contrast, contrast_of, deep_brain
from worker.look.coverage import LEAST_CM2, Coverage, Profile, measure
from worker.look.density import Density, density_of
from worker.look.section import Section, look_at, vault_of
from worker.look.strangers import describe
from worker.look.texture import Texture, texture_of
from worker.volume import Volume

STEP_MM: Final = 2.0  # between the slices that are looked at; thin series have many more
MOST_SECTIONS: Final = 60
SCOUTS: Final = 12
TEXTURE_SLICES: Final = 5


@dataclass(frozen=True)
class Look:
    """What the pixels of one series show.

    Attributes
    ----------
    is_head
        Whether a skull with brain inside was seen.
    seen
        What was seen instead of a head; empty for one.
    coverage
        The part of the head that was seen; None without one.
    brain_slices
        How many of the series' slices show brain.
    open_skull_slices
        How many of the slices looked at show brain in a skull that is not closed.
    contrast, vessel_share
        Whether vessels are enhanced, and in what share of the vault's slices.
    texture
        Kernel, noise and true thickness; None where there is too little brain.
    density
        How dense brain and skull are, and how large; None without a head.
    step_mm
        The usual distance of neighbours.
    pixel_aspect_ratio
        Height of a pixel to its width.
    metal_ml, motion_mm
        What spoils the pictures.
    """

    is_head: bool
    seen: str = ""
    coverage: Coverage | None = None
    brain_slices: int = 0
    open_skull_slices: int = 0
    contrast: Contrast = Contrast.PLAIN
    vessel_share: float = 0.0
    texture: Texture | None = None
    density: Density | None = None
    step_mm: float = 0.0
    pixel_aspect_ratio: float = 1.0
    metal_ml: float = 0.0
    motion_mm: float = 0.0

    def to_json(self) -> dict[str, object]:
        """Give plain values, numbers rounded for people; the coverage is stored apart."""
        values = asdict(self)
        del values["coverage"]
        for part in ("texture", "density"):
            values |= values.pop(part) or {}
        return {
            name: round(value, 2) if isinstance(value, float) else value
            for name, value in values.items()
        }


def look(volume: Volume, thickness_mm: npt.NDArray[np.float64] | float | None = None) -> Look:
    """Look at a series.

    Parameters
    ----------
    volume
        The slices in HU with their geometry.
    thickness_mm
        Slice Thickness (0018,0050) as the headers state it, see `coverage.measure`.
    """
    chosen = _chosen(volume.slice_position_mm)
    seen = {index: look_at(volume.hu[index], volume.spacing_mm) for index in _scouts(chosen)}
    if all(section.brain_cm2 < LEAST_CM2 for section in seen.values()):
        return Look(is_head=False, seen=describe(list(seen.values())))
    sections = [
        seen[index] if index in seen else look_at(volume.hu[index], volume.spacing_mm)
        for index in chosen
    ]
    profile = Profile(
        volume.slice_position_mm[chosen],
        np.array([section.brain_cm2 for section in sections]),
        np.array([section.closed for section in sections]),
    )
    run = profile.brain_run()
    coverage = measure(profile, volume.slice_position_mm, thickness_mm)
    if coverage is None or run is None:
        return Look(is_head=False, seen=describe(sections))
    return _of_head(volume, chosen, sections, run, coverage)


def _chosen(slice_position_mm: npt.NDArray[np.float64]) -> list[int]:
    """Take each slice that lies a step or more above the last one that was taken, and the last."""
    extent_mm = float(slice_position_mm[-1] - slice_position_mm[0])
    step_mm, chosen = max(STEP_MM, extent_mm / MOST_SECTIONS), [0]
    for index, position in enumerate(slice_position_mm):
        if position - slice_position_mm[chosen[-1]] >= step_mm:
            chosen.append(index)
    last = len(slice_position_mm) - 1
    return chosen if chosen[-1] == last else [*chosen, last]


def _scouts(chosen: list[int]) -> list[int]:
    """Take a dozen of the slices, and both ends: where none shows brain, the others show no head.

    They lie 30 mm apart at most, and a head is more than twice that.
    """
    return sorted({*chosen[:: -(-len(chosen) // SCOUTS)], chosen[-1]})


def _of_head(
    volume: Volume,
    chosen: list[int],
    sections: list[Section],
    run: tuple[int, int],
    coverage: Coverage,
) -> Look:
    inside = slice(run[0], run[1] + 1)
    head, indices = sections[inside], chosen[inside]
    contrast, vessel_share = contrast_of(head)
    places = volume.slice_position_mm
    steps = np.diff(places)
    return Look(
        is_head=True,
        coverage=coverage,
        brain_slices=indices[-1] - indices[0] + 1,
        open_skull_slices=sum(not section.closed for section in head),
        contrast=contrast,
        vessel_share=vessel_share,
        texture=_texture(volume, indices, head),
        density=density_of(head),
        step_mm=float(np.median(steps)),
        pixel_aspect_ratio=volume.spacing_mm[0] / volume.spacing_mm[1],
        metal_ml=metal_ml(head, _heights_mm(places[indices])),
        motion_mm=motion_mm(head),
    )


def _heights_mm(slice_position_mm: npt.NDArray[np.float64]) -> list[float]:
    if len(slice_position_mm) < 2:
        return [STEP_MM] * len(slice_position_mm)
    return [float(height) for height in np.abs(np.gradient(slice_position_mm))]


def _texture(volume: Volume, indices: list[int], head: list[Section]) -> Texture | None:
    """Read the texture of a few slices of the vault, at full resolution."""
    vault = vault_of(head)
    followed = [
        (index, section)
        for index, section in zip(indices, head, strict=True)
        if section in vault and index + 1 < len(volume.hu)
    ]
    few = followed[:: max(1, len(followed) // TEXTURE_SLICES)][:TEXTURE_SLICES]
    size = (volume.hu.shape[2], volume.hu.shape[1])
    masks = [
        cv2.resize(deep_brain(s.brain, RIM_MM).astype(np.uint8), size, interpolation=0) > 0
        for _, s in few
    ]
    pairs = [(volume.hu[index], volume.hu[index + 1]) for index, _ in few]
    steps = np.diff(volume.slice_position_mm)
    return texture_of(pairs, masks, volume.spacing_mm, float(np.median(steps)))
