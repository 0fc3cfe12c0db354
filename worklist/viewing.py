"""What a study's page needs of the analysis that is shown: its strip, colours and windows."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Final

from schema.hemorrhage_subtypes import BLOOD_RGB, SUBTYPES, Claim
from worklist.explanation import Explanation, JobAccount, SeriesAccount

WIDE: Final = 1000  # units of the strip's drawing
HIGH: Final = 60


@dataclass(frozen=True)
class Preset:
    """A window that readers know by its name."""

    name: str
    level_hu: int
    width_hu: int


PRESETS: Final = (
    Preset("Brain", 40, 80),
    Preset("Subdural", 75, 215),
    Preset("Stroke", 40, 40),
    Preset("Bone", 600, 2800),
    Preset("Soft tissue", 50, 350),
)


@dataclass(frozen=True)
class Layer:
    """What an overlay shows in one colour: a type that may be named, or blood."""

    name: str
    rgb: tuple[int, int, int]
    segments: tuple[int, ...]

    @property
    def colour(self) -> str:
        """The colour as a drawing writes it."""
        return "#{:02x}{:02x}{:02x}".format(*self.rgb)


@dataclass(frozen=True)
class Bar:
    """A slice, or a gap, on the strip; the drawing's own units."""

    index: int  # of the slice; -1 for a gap
    left: float
    width: float
    height: float
    bleeds: bool
    title: str


def shown_job(explanation: Explanation) -> tuple[SeriesAccount, JobAccount] | None:
    """Give the analysis that decided what the list shows."""
    pairs = ((series, job) for series in explanation.series for job in series.jobs)
    return next(((series, job) for series, job in pairs if job.shown and job.findings), None)


def layers(job: JobAccount) -> list[Layer]:
    """List what is drawn of a result: types as far as they may be named, the rest as blood."""
    claims = {finding.subtype: finding.claim for finding in job.findings if finding.volume_ml > 0}
    named = [
        subtype for subtype in SUBTYPES if claims.get(subtype.key) in (Claim.REPORTED, Claim.HINTED)
    ]
    others = tuple(
        subtype.segment_number
        for subtype in SUBTYPES
        if claims.get(subtype.key) is Claim.NOT_TOLD_APART
    )
    found = [
        Layer(
            subtype.name if claims[subtype.key] is Claim.REPORTED else f"{subtype.name} (perhaps)",
            subtype.rgb,
            (subtype.segment_number,),
        )
        for subtype in named
    ]
    return [*found, Layer("Hemorrhage", BLOOD_RGB, others)] if others else found


def strip(job: JobAccount) -> list[Bar]:
    """Lay out the slices of a result by their positions, from below; a gap stays a gap."""
    places: list[float] = job.slices.get("position_mm", [])
    if len(places) < 2:
        return []
    return list(_bars(job, places))


def _bars(job: JobAccount, places: list[float]) -> Iterator[Bar]:
    gaps = set(job.slices.get("gaps", ()))
    edges = list(_edges(places, gaps))
    low = edges[0][0]
    scale = WIDE / (edges[-1][1] - low)
    for index, (begin, end) in enumerate(edges):
        score, blood_ml = job.slices["probability"][index], job.slices["blood_ml"][index]
        said = f"Slice {index + 1} of {len(places)}: score {score:.2f}, {blood_ml:.1f} mL of blood"
        left, width = scale * (begin - low), scale * (end - begin)
        yield Bar(index, left, width, HIGH * score, blood_ml > 0, said)
        if index in gaps:
            text = f"{places[index + 1] - places[index]:.0f} mm without a slice"
            missing = scale * (edges[index + 1][0] - end)
            yield Bar(-1, scale * (end - low), missing, HIGH, False, text)


def _edges(places: list[float], gaps: set[int]) -> Iterator[tuple[float, float]]:
    """Give where each slice begins and ends: halfway to the next, or half a step before a gap."""
    half = median(above - below for below, above in pairwise(places)) / 2
    for index, place in enumerate(places):
        first, last = index == 0, index == len(places) - 1
        begin = place - half if first or index - 1 in gaps else (places[index - 1] + place) / 2
        end = place + half if last or index in gaps else (place + places[index + 1]) / 2
        yield begin, end
