"""From HU to the network's input, for training and serving alike.

The order is the paper's: window to 8 bit, resize, CLAHE. Before it comes what makes one head of
many series: slabs of one thickness, the head upright, its brain at one HU, no more grain than that
of the training data.
Every parameter is in `Preprocessing`, which the checkpoint's JSON stores, so a model is always fed
as it was when its thresholds were chosen.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt

from worker.munet.brain_offset import brain_offset_hu
from worker.munet.clahe import equalise
from worker.munet.grain import calming_px, smoothed
from worker.munet.head import head_box
from worker.munet.resize import Box, resize
from worker.munet.slab import Slabs, slabs

Channels = Literal["gray", "neighbours", "bone"]
Crop = Literal["frame", "head"]
# The brain window shows bone, calcium and fresh blood all white; this one tells them apart.
BONE_LEVEL_HU, BONE_WIDTH_HU = 300.0, 1400.0


class Series(NamedTuple):
    """What the network is given of one series, sorted along the normal."""

    pictures: npt.NDArray[np.uint8]  # (slab, 256, 256); with bone's window twice as many
    layout: npt.NDArray[np.intp]  # (slab, 3 or 4), which pictures are the channels of each slab
    slice_position_mm: npt.NDArray[np.floating]  # (slab,)

    @property
    def brain(self) -> npt.NDArray[np.uint8]:
        """The pictures of the brain window, (slab, 256, 256)."""
        return self.pictures[: len(self.layout)]


class Projection(NamedTuple):
    """The way back from the network's grid to the source's."""

    box: Box
    nearest: npt.NDArray[np.intp]  # (slice,) of the source, the slab that speaks for it
    shape: tuple[int, int]  # rows and columns of the source


def neighbours(
    slice_position_mm: npt.NDArray[np.floating], distance_mm: float
) -> npt.NDArray[np.intp]:
    """Index of the slice nearest to - distance, 0 and + distance of each slice, (slice, 3).

    By position, not by index: the context of a 1 mm series is that of the 5 mm training data.
    """
    positions = np.asarray(slice_position_mm, np.float64)
    wanted = positions[:, None] + distance_mm * np.array([-1.0, 0.0, 1.0])  # (slice, 3)
    return np.asarray(np.abs(wanted[:, :, None] - positions).argmin(axis=-1))


def window(hu: npt.NDArray[np.floating], level_hu: float, width_hu: float) -> npt.NDArray[np.uint8]:
    """Map level - width/2 ... level + width/2 to 0 ... 255, clipped and rounded.

    Parameters
    ----------
    hu
        Any shape, HU. NaN is air.
    level_hu, width_hu
        Centre and width of the window; 40 and 120 is the brain window of CT-ICH's pictures.
    """
    if width_hu <= 0:
        raise ValueError(f"a window of width {width_hu} HU shows nothing")
    grey = (hu - (level_hu - width_hu / 2)) * (255 / width_hu)
    shown = np.clip(np.nan_to_num(grey, nan=0.0), 0, 255)
    return np.asarray(np.rint(shown), np.uint8)


@dataclass(frozen=True)
class Preprocessing:
    """All that decides what the network sees of a series."""

    level_hu: float = 40.0
    width_hu: float = 120.0
    crop: Crop = "head"
    size: int = 256
    clip_limit: float = 2.0
    tiles: int = 8
    slab_mm: float = 5.0
    channels: Channels = "neighbours"
    neighbour_mm: float = 5.0
    straighten: bool = False  # turn the head upright in the frame
    brain_hu: float = 0.0  # where brain shall lie; the window follows a series that is off, 0 never
    noise_hu: float = 0.0  # on the network's grid; a grainier series is smoothed to it, 0 never

    def __post_init__(self) -> None:
        """Refuse settings that no network could have been trained with."""
        if self.channels not in get_args(Channels):
            raise ValueError(f"channels are {get_args(Channels)}, not {self.channels!r}")
        if self.crop not in ("frame", "head"):
            raise ValueError(f"pictures are cut to the frame or the head, not {self.crop!r}")
        if self.size < 32 or self.size % 32:
            raise ValueError(f"the network's five halvings need a multiple of 32, not {self.size}")
        if min(self.width_hu, self.slab_mm, self.neighbour_mm, self.tiles) <= 0:
            raise ValueError(f"window, slab, neighbours and tiles must be above 0: {self}")
        if self.noise_hu < 0:
            raise ValueError(f"no pictures are less grainy than 0 HU: noise_hu is {self.noise_hu}")

    @property
    def planes(self) -> int:
        """How many channels a slice has."""
        return 4 if self.channels == "bone" else 3

    def box(self, hu: npt.NDArray[np.floating]) -> Box:
        """Return the part of every frame that the network sees."""
        if self.crop == "frame":
            return Box.frame(hu.shape[1], hu.shape[2])
        return head_box(hu, straighten=self.straighten)

    def slabs(
        self,
        hu: npt.NDArray[np.floating],
        slice_position_mm: npt.NDArray[np.floating],
        laid_out: bool = False,
    ) -> Slabs:
        """Lay a series out as the network learned it, unless whoever read it has.

        Beside thick slices a slab may seem thin by its positions: twice is not once.
        """
        if laid_out:
            return Slabs(hu, slice_position_mm, np.arange(len(hu)))
        return slabs(hu, slice_position_mm, self.slab_mm)

    def pictures(self, hu: npt.NDArray[np.floating], box: Box) -> npt.NDArray[np.uint8]:
        """One enhanced picture for each slab, (slab, size, size); then, if asked for, bone's.

        Parameters
        ----------
        hu
            (slab, row, column) HU, sorted along the normal.
        box
            The part of every frame to show; `box()` finds it.
        """
        off_hu = brain_offset_hu(hu, box, self.brain_hu) if self.brain_hu else 0.0

        def show(frame: npt.NDArray[np.floating], sigma_px: float) -> npt.NDArray[np.uint8]:
            grey = window(smoothed(frame, sigma_px), self.level_hu + off_hu, self.width_hu)
            return resize(grey, box, self.size)

        def bone(frame: npt.NDArray[np.floating]) -> npt.NDArray[np.uint8]:
            grey = window(smoothed(frame, sigma_px), BONE_LEVEL_HU + off_hu, BONE_WIDTH_HU)
            return resize(grey, box, self.size)

        most_grey = self.noise_hu * 255 / self.width_hu
        sigma_px = calming_px(hu, show, most_grey) if most_grey else 0.0
        made = [equalise(show(frame, sigma_px), self.clip_limit, self.tiles) for frame in hu]
        if self.channels == "bone":
            made += [bone(frame) for frame in hu]
        return np.stack(made)

    def layout(self, slice_position_mm: npt.NDArray[np.floating]) -> npt.NDArray[np.intp]:
        """Which pictures make the channels of each slice, (slice, 3 or 4).

        The fourth is bone's window, whose pictures follow those of the brain window.
        """
        every = np.arange(len(slice_position_mm))
        if self.channels != "gray":
            steps = np.diff(slice_position_mm)
            step = float(np.median(steps)) if len(steps) else 0.0
            near = neighbours(slice_position_mm, max(self.neighbour_mm, step))
            bone = self.channels == "bone"
            return np.column_stack((near, len(every) + every)) if bone else near
        return np.repeat(every[:, None], 3, axis=1)

    def __call__(
        self,
        hu: npt.NDArray[np.floating],
        slice_position_mm: npt.NDArray[np.floating],
        laid_out: bool = False,
    ) -> tuple[Series, Projection]:
        """Return the network's input for one series, and the way back to its slices.

        Parameters
        ----------
        hu
            (slice, row, column) HU, sorted along the normal.
        slice_position_mm
            (slice,) rising positions along the normal.
        laid_out
            The slices are slabs already.
        """
        laid = self.slabs(hu, slice_position_mm, laid_out)
        box = self.box(laid.hu)
        pictures = self.pictures(laid.hu, box)
        series = Series(pictures, self.layout(laid.slice_position_mm), laid.slice_position_mm)
        return series, Projection(box, laid.nearest, (hu.shape[1], hu.shape[2]))
