"""What would be chosen of a folder of DICOM files, and why; stores nothing, needs no database."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from receiver.instance.header import Header, read_header
from receiver.selection.images import Selection, select_images
from receiver.selection.rules import SelectionRules
from schema.errors import UnreadableObjectError
from schema.scans import adds


@dataclass(frozen=True)
class SeriesChoice:
    """One series: its score, or the reason against it.

    Attributes
    ----------
    chosen
        Whether it would be analysed, if all series of the study were here: the best one, and what
        shows another part or time.
    """

    series_instance_uid: str
    description: str
    modality: str
    objects: int
    chosen: bool
    score: float | None
    reason: str
    left_out: int


@dataclass(frozen=True)
class StudyChoice:
    """One study with its series, the best first."""

    study_instance_uid: str
    description: str
    series: tuple[SeriesChoice, ...]


@dataclass(frozen=True)
class DryRun:
    """All studies of a folder, and how many of its files are no DICOM objects."""

    selection_version: str
    studies: tuple[StudyChoice, ...]
    unreadable: int


def try_folder(
    folder: Path, rules: SelectionRules, progress: Callable[[int], None] = lambda _done: None
) -> DryRun:
    """Read every file below a folder and choose of each study's series.

    Parameters
    ----------
    progress
        Is told after each file how many were read.
    """
    headers: dict[str, Header] = {}
    unreadable = 0
    for done, path in enumerate(_files(folder), 1):
        try:
            header = read_header(path)
        except UnreadableObjectError:
            unreadable += 1
        else:
            headers[header.identity.sop_instance_uid] = header  # a copy counts once
        progress(done)
    return DryRun(rules.versions, _studies(headers.values(), rules), unreadable)


def _files(folder: Path) -> Iterable[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _studies(headers: Iterable[Header], rules: SelectionRules) -> tuple[StudyChoice, ...]:
    by_study = groupby(sorted(headers, key=_study_uid), key=_study_uid)
    return tuple(_study(uid, list(group), rules) for uid, group in by_study)


def _study(uid: str, headers: Sequence[Header], rules: SelectionRules) -> StudyChoice:
    by_series = groupby(sorted(headers, key=_series_uid), key=_series_uid)
    selected = [
        (select_images(group, rules), group) for group in (list(group) for _, group in by_series)
    ]
    ranked = sorted(selected, key=lambda pair: -(pair[0].score or 0))
    chosen = chosen_of([selection for selection, _ in ranked])
    series = tuple(
        _series(group, selection, any(selection is it for it in chosen))
        for selection, group in ranked
    )
    return StudyChoice(uid, headers[0].study_description, series)


def chosen_of(ranked: Sequence[Selection]) -> list[Selection]:
    """Take the best of a study's series, and each other that shows what those do not.

    The planner comes to the same in any order of arrival.
    """
    chosen: list[Selection] = []
    for selection in ranked:
        if selection.score is not None and all(
            adds(selection.scan, better.scan) for better in chosen
        ):
            chosen.append(selection)
    return chosen


def _series(headers: Sequence[Header], selection: Selection, chosen: bool) -> SeriesChoice:
    return SeriesChoice(
        series_instance_uid=headers[0].identity.series_instance_uid,
        description=headers[0].series_description,
        modality=headers[0].modality,
        objects=len(headers),
        chosen=chosen,
        score=selection.score,
        reason=selection.reason,
        left_out=len(selection.left_out),
    )


def _study_uid(header: Header) -> str:
    return header.identity.study_instance_uid


def _series_uid(header: Header) -> str:
    return header.identity.series_instance_uid
