"""Run a checkpoint on one series: labels on the source grid, scores for slices and study."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from worker.munet import checkpoint
from worker.munet.bleed_types import BleedTypes
from worker.munet.bleeds import Head
from worker.munet.card import LABELS, Card, OperatingPoint, Platt, Scoring
from worker.munet.compiled import EAGER, ONNX, compiled
from worker.munet.device import on, resolve
from worker.munet.errors import BackendError
from worker.munet.labels import components, label_frame, one_type_each
from worker.munet.preprocessing import Projection, Series

BATCH = 64  # a usual study in one batch; a thin-slice study of 600 stays within memory
STRONGEST = 32  # mask pixels that speak for a slice: 5 mm across at 256 x 256


@dataclass(frozen=True)
class Prediction:
    """What the network says of one series, in the order of its slices."""

    # (slice, row, column) of the source: 0 none, 1 ... 5 the type, 6 blood of an uncertain one
    labels: npt.NDArray[np.uint8]
    slice_probabilities: npt.NDArray[np.float32]  # (slice, 6)
    probabilities: Mapping[str, float]  # each type and "any", for the study
    alarm: float  # from this probability of "any" on, the operating point calls the study


@dataclass(frozen=True)
class Maps:
    """The network's raw answer on its own grid."""

    slice_position_mm: npt.NDArray[np.floating]  # (slice,)
    logits: npt.NDArray[np.float32]  # (slice, 6), not calibrated
    any_map: npt.NDArray[np.float16]  # (slice, 256, 256) probability
    types: npt.NDArray[np.uint8]  # (slice, 256, 256) likeliest type, 1 ... 5


# Labels of what is kept as blood, (slab, row, column), and of the pixels around it.
Tell = Callable[[npt.NDArray[np.bool_], Maps], npt.NDArray[np.uint8]]


def to_input(pictures: Tensor) -> Tensor:
    """8-bit grey to the network's 0 ... 1; the one place where this is done."""
    return pictures.float().div(255)


def calibrate(logits: npt.NDArray[np.float32], platt: Platt) -> npt.NDArray[np.float32]:
    """Probabilities of (..., 6) logits."""
    lines = logits * np.array(platt.slope) + np.array(platt.intercept)
    return np.asarray(1 / (1 + np.exp(-np.clip(lines, -30, 30))), np.float32)


def slice_logits(maps: Maps, scoring: Scoring) -> npt.NDArray[np.float32]:
    """Scores of slices, averaged with those nearby, (slice, 6): no bleed is one slice's alone."""
    types = along(maps.logits[:, :-1], maps.slice_position_mm, scoring.types_mm)
    found = along(maps.logits[:, -1:], maps.slice_position_mm, scoring.smooth_mm)
    return np.concatenate((types, found), axis=1)


def along(
    logits: npt.NDArray[np.float32], slice_position_mm: npt.NDArray[np.floating], sigma_mm: float
) -> npt.NDArray[np.float32]:
    """Average (slice, n) along the normal with a Gaussian; 0 mm leaves them alone."""
    if not sigma_mm:
        return logits
    apart = np.subtract.outer(slice_position_mm, slice_position_mm) / sigma_mm
    near = np.exp(-(apart**2) / 2)
    return np.asarray(near @ logits / near.sum(axis=1, keepdims=True), np.float32)


def study_logits(maps: Maps, scoring: Scoring) -> npt.NDArray[np.float32]:
    """Mean of each column's highest slices, averaged with those nearby, (6,)."""
    near = along(maps.logits, maps.slice_position_mm, scoring.study_mm)
    return np.asarray(np.sort(near, axis=0)[-scoring.top :].mean(axis=0), np.float32)


@torch.inference_mode()
def run(network: nn.Module, series: Series, scoring: Scoring, device: torch.device) -> Maps:
    """Run a network in eval mode over a series, in bounded batches."""
    parts, layout = [], series.layout
    for start in range(0, len(layout), BATCH):
        batch = on(torch.from_numpy(series.pictures[layout[start : start + BATCH]]), device)
        x = to_input(batch).contiguous(memory_format=torch.channels_last)
        with torch.autocast(device.type, enabled=device.type == "cuda"):
            masks, scores = forward(network, x, scoring)
        parts.append(
            (
                scores.float().cpu().numpy(),
                masks[:, -1].float().sigmoid().half().cpu().numpy(),
                masks[:, :-1].argmax(dim=1).add(1).to(torch.uint8).cpu().numpy(),
            )
        )
    return Maps(
        series.slice_position_mm, *(np.concatenate(part) for part in zip(*parts, strict=True))
    )


def forward(network: nn.Module, x: Tensor, scoring: Scoring) -> tuple[Tensor, Tensor]:
    """Mask logits (slice, 6, rows, columns) and scores (slice, 6), mirror image included."""
    output = network(x)
    masks, scores = output.masks[-1], output.scores
    if scoring.flip:
        mirrored = network(x.flip(-1))
        masks = (masks + mirrored.masks[-1].flip(-1)) / 2
        scores = (scores + mirrored.scores) / 2
    if scoring.mask_weight or scoring.share_weight:
        found, shares = evidence(masks)
        scores = scores + scoring.mask_weight * found
        scores[:, :-1] += scoring.share_weight * shares
    return masks, scores


def evidence(masks: Tensor) -> tuple[Tensor, Tensor]:
    """Sum the maps up to what they say of a slice as a whole, as logits.

    Returns
    -------
    found, shares
        (slice, 1), the mean of the strongest pixels of "any"; and (slice, 5), the log of each
        type's share among the five, averaged over the pixels as far as they are blood.
    """
    pixels = masks[:, -1].flatten(1)  # (slice, pixels)
    strongest = pixels.topk(STRONGEST, dim=-1).values.mean(dim=-1, keepdim=True)
    shares = masks[:, :-1].log_softmax(dim=1).flatten(2)  # (slice, 5, pixels)
    blood = pixels.softmax(dim=-1)[:, None]
    return strongest, (shares * blood).sum(dim=-1)


def read(
    maps: Maps,
    scoring: Scoring,
    point: OperatingPoint,
    back: Projection,
    tell: Tell | None = None,
) -> Prediction:
    """Apply calibration and an operating point to one series; labels on its source slices.

    Parameters
    ----------
    tell
        Tells the types of whole bleeds; without it the pixels of the network's maps do.
    """
    slices, study = probabilities(maps, scoring)
    labels = np.zeros((len(slices), *back.shape), np.uint8)
    kept = outlined(maps, scoring, point)
    if shown := np.flatnonzero(kept.any(axis=(1, 2))).tolist():
        types = tell(kept, maps) if tell else voted_types(kept, maps, scoring)
        for index in shown:
            any_map = maps.any_map[index].astype(np.float32)
            labels[index] = label_frame(any_map, types[index], point, back.box, back.shape)
    named = dict(zip(LABELS, map(float, study), strict=True))
    return Prediction(labels[back.nearest], slices[back.nearest], named, point.study_any)


def probabilities(
    maps: Maps, scoring: Scoring
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Calibrated scores of each slice, (slice, 6), and of the study, (6,)."""
    slices = calibrate(slice_logits(maps, scoring), scoring.slice)
    return slices, calibrate(study_logits(maps, scoring), scoring.study)


def outlined(maps: Maps, scoring: Scoring, point: OperatingPoint) -> npt.NDArray[np.bool_]:
    """Which pixels an operating point shows as blood, (slab, row, column)."""
    slices, study = probabilities(maps, scoring)
    kept = np.zeros(maps.types.shape, np.bool_)
    if float(study[-1]) >= point.study_gate:  # as whoever calls the study compares
        for index in np.flatnonzero(slices[:, -1] >= point.slice_gate):
            kept[index] = components(maps.any_map[index].astype(np.float32), point)
    return kept


def voted_types(kept: npt.NDArray[np.bool_], maps: Maps, scoring: Scoring) -> npt.NDArray[np.uint8]:
    """Give each pixel its type; each bleed one, unless the scoring leaves pixels alone."""
    return one_type_each(kept, maps.any_map, maps.types) if scoring.whole_bleeds else maps.types


def teller(types: BleedTypes | None, pictures: npt.NDArray[np.uint8]) -> Tell | None:
    """Tell types by whole bleeds and the pictures that they lie in, (slab, row, column)."""
    if types is None:
        return None
    return lambda kept, maps: types.label(kept, Head(pictures, maps.slice_position_mm, maps.types))


class Predictor:
    """A loaded checkpoint on a device, ready for any number of series.

    Parameters
    ----------
    checkpoint
        The .safetensors or .json file.
    device
        auto, cpu, cuda or cuda:1.
    point
        The name of one of its operating points; empty takes the one that its card chose.
    backend
        What runs the network: `eager` is torch, which also runs it where another one cannot.

    Attributes
    ----------
    backend, fallback
        What runs it, and why that is not what was asked for.

    Raises
    ------
    CheckpointError, DeviceError
        Nothing was loaded.
    """

    card: Card

    def __init__(
        self,
        checkpoint_path: Path,
        device: str = "auto",
        point: str | None = None,
        backend: str = EAGER,
    ) -> None:
        self.device = resolve(device)
        network, card = checkpoint.read(checkpoint_path)
        self.card = checkpoint.at(card, point, checkpoint_path)
        self.network: nn.Module = network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.backend, self.fallback = EAGER, ""
        if backend == ONNX:
            self._compile(checkpoint_path)

    def _compile(self, path: Path) -> None:
        side = self.card.preprocessing.size
        try:
            if self.device.type != "cpu":
                raise BackendError(
                    f"{ONNX} runs on the processor alone, the device is {self.device}"
                )
            shape = (self.card.network.in_channels, side, side)
            self.network = compiled(self.network, path, self.card.sha256, shape)
        except BackendError as error:
            self.fallback = str(error)
        else:
            self.backend = ONNX

    def predict(
        self,
        hu: npt.NDArray[np.floating],
        slice_position_mm: npt.NDArray[np.floating],
        laid_out: bool = False,
    ) -> Prediction:
        """Find hemorrhage in one series.

        Parameters
        ----------
        hu
            (slice, row, column) HU, sorted along the normal.
        slice_position_mm
            (slice,) rising positions along the normal.
        laid_out
            The slices are slabs already, as the trainer reads thin ones.

        Raises
        ------
        ValueError
            Wrong shapes, or positions that do not rise.
        """
        if hu.ndim != 3 or len(hu) == 0:
            raise ValueError(f"HU must be (slice, row, column) with a slice or more: {hu.shape}")
        series, back = self.card.preprocessing(hu, slice_position_mm, laid_out)
        return self.read(self.run(series), back, series.brain)

    def run(self, series: Series) -> Maps:
        """Run the network on a prepared series."""
        return run(self.network, series, self.card.scoring, self.device)

    def read(self, maps: Maps, back: Projection, pictures: npt.NDArray[np.uint8]) -> Prediction:
        """Apply calibration and the operating point; labels on the source slices.

        Parameters
        ----------
        pictures
            (slab, 256, 256), what the network saw in the brain window.
        """
        tell = teller(self.card.bleed_types, pictures)
        return read(maps, self.card.scoring, self.card.operating_point, back, tell)
