"""One series from files to a priority and DICOM objects, top to bottom."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt

from schema.cut_short import CUT_SHORT
from schema.errors import PermanentError, UnsuitableSeriesError
from schema.hemorrhage_subtypes import SUBTYPES, Claim
from worker.face_up import turned, turns_up
from worker.findings import Finding, measure
from worker.forms import FOR_THE_PAGE, Forms
from worker.look.marks import marks, refusal
from worker.look.series_look import Look, look
from worker.look.unlikeness import Unlikeness, measured, unlikeness
from worker.munet.card import Card
from worker.munet.inference import Predictor
from worker.objects.author import WrittenObject
from worker.objects.revision import FIRST, Revision
from worker.objects.statement import Statement
from worker.objects.writing import Written, write_objects
from worker.priority import Priority, prioritise
from worker.rules import Rules
from worker.slices import Decoder, SourceSeries, read_series
from worker.square import put_back, squared
from worker.strip import key_picture, slice_values

UNCERTAIN = len(SUBTYPES) + 1  # the label of blood whose type is not said
UNTOLD = Claim.NOT_TOLD_APART
TILTED_DEGREES = 0.5  # less is rounding in the positions


@dataclass(frozen=True, eq=False)
class Prepared:
    """A series as far as it needs no network."""

    source: SourceSeries
    seen: Look


@dataclass(frozen=True)
class Ahead:
    """What prepares the next series while this one is in the network.

    Attributes
    ----------
    take
        Gives what was prepared of exactly these files, if anything was.
    begin
        Starts on the next one.
    """

    take: Callable[[Sequence[Path]], Prepared | None]
    begin: Callable[[], None]


@dataclass(frozen=True, eq=False)
class Analysis:
    """What an analysis leaves behind.

    Attributes
    ----------
    findings
        `any` first, then the five types.
    priority
        The level with its reason, and the outcome.
    objects
        Files that are on disk and were read back.
    refused
        Why an object is missing; the result itself stands.
    model, model_sha256
        Name and weights of what drew the masks.
    timings_s
        Seconds by step, in order: read, look, predict, measure, prioritise, write.
    tilt_degrees, gaps
        What is unusual about the stack, in words for `gaps`.
    look
        What the pixels show, the part of the head that was seen among it.
    unlike
        How unlike the model's training data they are; None where it can't be told.
    marks
        What a reader should know of the images, in words.
    slices
        Position, score and blood of each slice.
    key_picture
        A JPEG of the slice with most blood; None where there is none.
    """

    findings: tuple[Finding, ...]
    priority: Priority
    objects: tuple[WrittenObject, ...]
    refused: tuple[str, ...]
    model: str
    model_sha256: str
    timings_s: Mapping[str, float]
    tilt_degrees: float
    gaps: tuple[str, ...]
    look: Look
    unlike: Unlikeness | None
    marks: tuple[str, ...]
    slices: Mapping[str, Any]
    key_picture: bytes | None


class Stopwatch:
    """Seconds spent in each named step."""

    def __init__(self) -> None:
        self.timings_s: dict[str, float] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time one step."""
        start = perf_counter()
        yield
        self.timings_s[name] = perf_counter() - start


def analyse(
    paths: Sequence[Path],
    predictor: Predictor,
    rules: Rules,
    folder: Path,
    decoder: Decoder | None = None,
    revision: Revision = FIRST,
    forms: Forms = FOR_THE_PAGE,
    ahead: Ahead | None = None,
    *,
    cut_short: bool = False,
) -> Analysis:
    """Analyse one series.

    Parameters
    ----------
    paths
        Its files, in any order.
    predictor
        The model.
    rules
        The thresholds of the priority.
    folder
        Where result objects go; the same for every run of this series.
    decoder
        What turns a file into frames, see `read_series`.
    revision
        Which result of the series it is, and what it replaces.
    forms
        Which forms of the result are written.
    ahead
        What may have prepared this series, and is to prepare the next.
    cut_short
        Whether its sender aborted the association, so that images may be missing.

    Raises
    ------
    TransientError
        A file is missing.
    UnsuitableSeriesError
        Its pixels show no head, or one with a contrast agent; another series of the study may do.
    PermanentError
        The series cannot be analysed, or the model's answer makes no sense; the message says why.
    """
    watch = Stopwatch()
    with watch.step("read"):
        prepared = ahead.take(paths) if ahead else None
        source = prepared.source if prepared else read_series(paths, decoder)
    with watch.step("look"):
        seen = prepared.seen if prepared else _look(source)
        _refuse(seen)
    if ahead:
        ahead.begin()

    def write(labels: npt.NDArray[np.uint8], statement: Statement) -> Written:
        return write_objects(source, labels, statement, folder, revision, forms)

    return _analyse_head(source, seen, predictor, rules, write, watch, cut_short=cut_short)


def _analyse_head(
    source: SourceSeries,
    seen: Look,
    predictor: Predictor,
    rules: Rules,
    write: Callable[[npt.NDArray[np.uint8], Statement], Written],
    watch: Stopwatch,
    *,
    cut_short: bool,
) -> Analysis:
    """Do what follows once the images were seen to be a head."""
    with watch.step("predict"):
        turns = turns_up(source.sides)
        hu = turned(squared(source.volume.hu, source.volume.spacing_mm), turns)
        prediction = predictor.predict(hu, source.volume.slice_position_mm)
    with watch.step("measure"):
        labels = put_back(turned(prediction.labels, -turns), source.volume.hu.shape[1:])
        labels = without_uncertain(labels, _claims(predictor.card))
        findings = _measure(source, labels, prediction.probabilities, predictor.card)
    with watch.step("prioritise"):
        priority = prioritise(findings, rules, prediction.alarm, coverage=seen.coverage)
    if cut_short:  # said first, so that everything that leaves says so and no row cuts it off
        priority = replace(priority, reason=f"{CUT_SHORT}; {priority.reason}")
    unlike = unlikeness(measured(seen), predictor.card.measured)
    said = tuple(marks(seen, unlike))
    with watch.step("write"):
        statement = _state(source, findings, priority, predictor.card, seen, said)
        labels = _without_specks(labels, findings)
        written = write(labels, statement)
    return Analysis(
        findings=findings,
        priority=priority,
        objects=tuple(written.objects),
        refused=tuple(written.refused),
        model=predictor.card.name,
        model_sha256=predictor.card.sha256,
        timings_s=watch.timings_s,
        tilt_degrees=source.volume.tilt_degrees,
        gaps=tuple(map(str, source.volume.gaps)),
        look=seen,
        unlike=unlike,
        marks=said,
        slices=slice_values(source.volume, labels, prediction.slice_probabilities[:, -1]),
        key_picture=key_picture(source, labels, statement),
    )


def prepare(paths: Sequence[Path], decoder: Decoder, most_bytes: int) -> Prepared:
    """Read a series and look at it, for the `Ahead` of another one.

    Raises
    ------
    TriageError, MemoryError
        What `read_series` raises.
    """
    source = read_series(paths, decoder, most_bytes)
    return Prepared(source, _look(source))


def _look(source: SourceSeries) -> Look:
    """Look at the pixels before the model does; it would read a knee as well."""
    return look(source.volume, source.thickness_mm)


def _refuse(seen: Look) -> None:
    if reason := refusal(seen):
        raise UnsuitableSeriesError(reason)


def _without_specks(
    labels: npt.NDArray[np.uint8], findings: tuple[Finding, ...]
) -> npt.NDArray[np.uint8]:
    """Draw nothing where all of it is too little to be a finding."""
    return labels if findings[0].present else np.zeros_like(labels)


def _claims(card: Card) -> Mapping[str, Claim]:
    return {key: Claim(claim) for key, claim in card.claims.items()}


def without_uncertain(
    labels: npt.NDArray[np.uint8], claims: Mapping[str, Claim]
) -> npt.NDArray[np.uint8]:
    """Label blood of an uncertain type as one that is not told apart, which nothing names."""
    untold = [s for s in SUBTYPES if claims.get(s.key, UNTOLD) is UNTOLD]
    if not untold:
        return labels
    return np.where(labels == UNCERTAIN, np.uint8(untold[0].segment_number), labels)


def _measure(
    source: SourceSeries,
    labels: npt.NDArray[np.uint8],
    probabilities: Mapping[str, float],
    card: Card,
) -> tuple[Finding, ...]:
    try:
        return measure(source.volume, labels, probabilities, _claims(card))
    except ValueError as error:
        raise PermanentError(
            "the model's answer for this series makes no sense, so it is not shown",
            detail=f"model {card.name}: {error}; check the checkpoint",
        ) from error


def _state(
    source: SourceSeries,
    findings: tuple[Finding, ...],
    priority: Priority,
    card: Card,
    seen: Look,
    said: tuple[str, ...],
) -> Statement:
    """Put together what the objects say."""
    tilt_degrees = source.volume.tilt_degrees
    tilted = (f"gantry tilt {tilt_degrees:.1f} degrees",) if tilt_degrees > TILTED_DEGREES else ()
    return Statement(
        outcome=priority.outcome,
        level=priority.level,
        reason=priority.reason,
        rule_version=priority.rule_version,
        findings=findings,
        model=card.name,
        model_sha256=card.sha256,
        coverage=seen.coverage.to_json() if seen.coverage else None,
        limits=(*tilted, *(f"gap: {gap}" for gap in source.volume.gaps), *said),
    )
