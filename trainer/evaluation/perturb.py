"""The same head, changed as scanners and technicians change it: its outcome must hold.

Each change makes another series of one head: other slices, another kernel, another position. What
is in the head stays, so an outcome that turns is an error, whichever way.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from trainer.datasets.slices import PUBLISHED_SPACING_MM
from trainer.datasets.sources import Release, Slice, read_series
from worker.munet.inference import Prediction, Predictor
from worker.munet.slab import extents

AIR_HU = -1000.0
THICK_MM = 10.0
MOMENTS = 5  # positions of a head that moves, averaged


class Head(NamedTuple):
    """One series."""

    hu: npt.NDArray[np.float32]  # (slice, row, column)
    slice_position_mm: npt.NDArray[np.floating]  # (slice,) rising
    laid_out: bool = False  # its slices are the network's slabs already
    spacing_mm: tuple[float, float] = (PUBLISHED_SPACING_MM, PUBLISHED_SPACING_MM)  # row, column

    @property
    def series(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.floating], bool]:
        """What a network is given of it."""
        return self.hu, self.slice_position_mm, self.laid_out


def read_head(slices: Sequence[Slice]) -> Head:
    """Read one scan; where types are known by voxel, its reader has laid it out."""
    first = slices[0]
    return Head(*read_series(slices), first.slab is not None, first.spacing_mm)


Change = Callable[[Head], Head]
Predict = Callable[[npt.NDArray[np.float32], npt.NDArray[np.floating], bool], Prediction]


@dataclass(frozen=True)
class Answer:
    """What a network says of one series."""

    probability: float
    called: bool


@dataclass(frozen=True)
class Outcomes:
    """One head's answers, unchanged and after each change."""

    patient: int
    bleeds: bool
    unchanged: Answer
    changed: Mapping[str, Answer]

    def turned(self, name: str) -> bool:
        """Whether a change turned the outcome."""
        return self.changed[name].called != self.unchanged.called


def thickness(step_mm: float, shift_mm: float = 0.0) -> Change:
    """Cut what was scanned into slices of another thickness, by interpolation."""

    def change(head: Head) -> Head:
        edges = extents(head.slice_position_mm)
        laid = np.arange(edges[0, 0] + step_mm / 2, edges[-1, 1] - step_mm / 2 + 1e-6, step_mm)
        laid = laid + shift_mm
        return resliced(head, interpolated(head, laid), laid)

    return change


def resliced(
    head: Head, hu: npt.NDArray[np.float32], slice_position_mm: npt.NDArray[np.floating]
) -> Head:
    """Return a head in other slices, which nobody has laid out."""
    return head._replace(hu=hu, slice_position_mm=slice_position_mm, laid_out=False)


def interpolated(head: Head, laid_mm: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    """Read a series at other positions, (slice, row, column); its ends reach outwards."""
    at = np.interp(laid_mm, head.slice_position_mm, np.arange(len(head.hu)))
    lower = np.minimum(at.astype(int), max(len(head.hu) - 2, 0))
    share = (at - lower).astype(np.float32)[:, None, None]
    upper = np.minimum(lower + 1, len(head.hu) - 1)
    return np.asarray(head.hu[lower] * (1 - share) + head.hu[upper] * share, np.float32)


def overlapping(head: Head) -> Head:
    """Put a slice between each two, as thick as they are."""
    between = (head.slice_position_mm[1:] + head.slice_position_mm[:-1]) / 2
    laid = np.sort(np.concatenate((head.slice_position_mm, between)))
    return resliced(head, interpolated(head, laid), laid)


def doubled(head: Head) -> Head:
    """Average slices to ones of about 10 mm, of 5 mm each two; thicker than 6.7 mm they stay."""
    step_mm = float(np.median(np.diff(head.slice_position_mm)))
    of = max(1, round(THICK_MM / step_mm))
    count = len(head.hu) // of * of
    hu, positions = head.hu[:count], head.slice_position_mm[:count]
    means = hu.reshape(-1, of, *hu.shape[1:]).mean(axis=1, dtype=np.float32)
    return resliced(head, means, positions.reshape(-1, of).mean(axis=1))


def reversed_order(head: Head) -> Head:
    """Stack the slices from the other end, as where their normal points down."""
    return head._replace(hu=head.hu[::-1].copy(), slice_position_mm=-head.slice_position_mm[::-1])


def rotated(angle_deg: float) -> Change:
    """Turn every frame about its middle."""

    def turn(frame: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        rows, columns = frame.shape
        middle = ((columns - 1) / 2, (rows - 1) / 2)
        return warped(frame, np.asarray(cv2.getRotationMatrix2D(middle, angle_deg, 1.0), float))

    return each(turn)


def tilted(angle_deg: float) -> Change:
    """Shift frames along each other, as a tilted gantry stacks them."""

    def change(head: Head) -> Head:
        away = (head.slice_position_mm - head.slice_position_mm.mean()) * np.tan(
            np.deg2rad(angle_deg)
        )
        frames = [
            warped(frame, np.array([[1, 0, 0], [0, 1, shift]]))
            for frame, shift in zip(head.hu, away / head.spacing_mm[0], strict=True)
        ]
        return head._replace(hu=np.stack(frames))

    return change


def moving(distance_mm: float) -> Change:
    """Blur every frame as a head does that slides sideways while it is scanned."""

    def change(head: Head) -> Head:
        shifts = np.linspace(-0.5, 0.5, MOMENTS) * distance_mm / head.spacing_mm[1]

        def blur(frame: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
            moments = [warped(frame, np.array([[1, 0, shift], [0, 1, 0]])) for shift in shifts]
            return np.asarray(np.mean(moments, axis=0), np.float32)

        return each(blur)(head)

    return change


def wider(share: float) -> Change:
    """Show the head in a larger field of view."""

    def shrink(frame: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        rows, columns = frame.shape
        middle = ((columns - 1) / 2, (rows - 1) / 2)
        matrix = cv2.getRotationMatrix2D(middle, 0.0, 1 / (1 + share))
        return warped(frame, np.asarray(matrix, float))

    return each(shrink)


def warped(
    frame: npt.NDArray[np.float32], matrix: npt.NDArray[np.floating]
) -> npt.NDArray[np.float32]:
    """Move one frame by an affine matrix; air comes in."""
    size = (frame.shape[1], frame.shape[0])
    return np.asarray(cv2.warpAffine(frame, matrix, size, borderValue=AIR_HU))


def sharper(strength: float) -> Change:
    """Raise the detail as a sharper kernel does, noise included; below 0 smooth it away."""

    def change(frame: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        smooth = cv2.GaussianBlur(frame, (0, 0), 1.2)
        return np.asarray(frame + np.float32(strength) * (frame - smooth))

    return each(change)


def offset(hu: float) -> Change:
    """Shift every HU but air's."""

    def change(frame: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        return np.where(frame > AIR_HU / 2, frame + np.float32(hu), frame)

    return each(change)


def noisy(sigma_hu: float) -> Change:
    """Add noise, the same each time."""

    def change(head: Head) -> Head:
        rng = np.random.default_rng(0)
        noise = rng.standard_normal(head.hu.shape, np.float32) * np.float32(sigma_hu)
        return head._replace(hu=head.hu + noise)

    return change


def each(change: Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]) -> Change:
    """Change every frame alike."""
    return lambda head: head._replace(hu=np.stack([change(f) for f in head.hu]))


BY_SLICES: Mapping[str, Change] = {
    "2.5 mm slices": thickness(2.5),
    "1.25 mm slices": thickness(1.25),
    "0.625 mm slices": thickness(0.625),
    "half a slice further up": thickness(5.0, 2.5),
    "overlapping slices": overlapping,
    "10 mm slices": doubled,
    "slices in the other order": reversed_order,
    "rotated by 10 degrees": rotated(10),
    "rotated by 20 degrees": rotated(20),
}
BY_SHADES: Mapping[str, Change] = {
    "sharp kernel": sharper(1.5),
    "smooth kernel": sharper(-0.8),
    "5 HU more": offset(5),
    "5 HU less": offset(-5),
}
OTHERS: Mapping[str, Change] = {
    "rotated by 45 degrees": rotated(45),
    "rotated by 90 degrees": rotated(90),
    "gantry tilted by 15 degrees": tilted(15),
    "field of view 20 % wider": wider(0.2),
    "moving by 3 mm": moving(3),
    "noise of 10 HU": noisy(10),
}
CHANGES: Mapping[str, Change] = {**BY_SLICES, **BY_SHADES, **OTHERS}
OF_SLICES, OF_SHADES = 30, 10  # heads of which one may turn; of the others nothing is asked
ALLOWED = dict.fromkeys(BY_SLICES, OF_SLICES) | dict.fromkeys(BY_SHADES, OF_SHADES)


def outcomes(
    predict: Predict,
    head: Head,
    patient: int,
    bleeds: bool,
    changes: Mapping[str, Change] = CHANGES,
) -> Outcomes:
    """Ask a network about one head, unchanged and after each change."""
    return Outcomes(
        patient,
        bleeds,
        answer(predict, head),
        {name: answer(predict, change(head)) for name, change in changes.items()},
    )


def perturbed(
    predictor: Predictor, release: Release, patients: Sequence[int]
) -> Iterator[Outcomes]:
    """Ask a checkpoint about one patient after the other, each changed in every way."""
    for patient in patients:
        slices = release.of(patient)
        bleeds = any(ct_slice.positive for ct_slice in slices)
        yield outcomes(predictor.predict, read_head(slices), patient, bleeds)


def answer(predict: Predict, head: Head) -> Answer:
    """Ask a network about one series."""
    found = predict(*head.series)
    return Answer(found.probabilities["any"], found.probabilities["any"] >= found.alarm)


def flips(asked: Sequence[Outcomes]) -> Iterator[tuple[str, int, int, float]]:
    """Yield each change, how many it silenced and raised, and its largest shift of a score."""
    for name in asked[0].changed if asked else ():
        turned = [answers for answers in asked if answers.turned(name)]
        raised = sum(answers.changed[name].called for answers in turned)
        apart = max(
            abs(answers.changed[name].probability - answers.unchanged.probability)
            for answers in asked
        )
        yield name, len(turned) - raised, raised, apart


def to_json(asked: Sequence[Outcomes]) -> list[dict[str, object]]:
    """Every head's scores, for other programs."""
    return [
        {
            "patient": answers.patient,
            "bleeds": answers.bleeds,
            "unchanged": answers.unchanged.probability,
            "called": answers.unchanged.called,
            "changed": {name: answer.probability for name, answer in answers.changed.items()},
            "turned": [name for name in answers.changed if answers.turned(name)],
        }
        for answers in asked
    ]
