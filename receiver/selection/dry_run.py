"""What would be chosen of a folder of DICOM files, and why; stores nothing, needs no database."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from receiver.instance.header import Header, read_header
from receiver.selection.images import Selection, select_images
from receiver.selection.pixel_look import LookAt, PixelLook
from receiver.selection.rules import SelectionRules
from schema.errors import UnreadableObjectError
from schema.scans import adds


@dataclass(frozen=True)
class SeriesChoice:
    """One series: its score, or the reason against it.

    Attributes
    ----------
    chosen
        Whether it would be analysed, if all series of the study were here: the best one whose
        images do not refuse it, and what shows another part or time.
    pixels
        What its images show; None if they were not looked at.
    """

    series_instance_uid: str
    description: str
    modality: str
    objects: int
    chosen: bool
    score: float | None
    reason: str
    left_out: int
    pixels: PixelLook | None = None


@dataclass(frozen=True)
class StudyChoice:
    """One study with its series, the best first."""

    study_instance_uid: str
    description: str
    series: tuple[SeriesChoice, ...]


@dataclass(frozen=True)
class DryRun:
    """All studies of a folder, and how many of its files are no DICOM objects.

    Attributes
    ----------
    looked
        Whether the images were looked at; they are not where no worker is installed.
    """

    selection_version: str
    studies: tuple[StudyChoice, ...]
    unreadable: int
    looked: bool = False


def try_folder(
    folder: Path,
    rules: SelectionRules,
    progress: Callable[[int], None] = lambda _done: None,
    look_at: LookAt = lambda _paths: None,
) -> DryRun:
    """Read every file below a folder and choose of each study's series.

    Parameters
    ----------
    progress
        Is told after each file how many were read.
    look_at
        Says what the images of a series show.
    """
    headers: dict[str, Header] = {}
    paths: dict[str, Path] = {}
    unreadable = 0
    for done, path in enumerate(_files(folder), 1):
        try:
            header = read_header(path)
        except UnreadableObjectError:
            unreadable += 1
        else:
            headers[header.identity.sop_instance_uid] = header  # a copy counts once
            paths[header.identity.sop_instance_uid] = path
        progress(done)
    studies = _studies(headers.values(), rules, lambda uids: look_at([paths[uid] for uid in uids]))
    looked = any(series.pixels for study in studies for series in study.series)
    return DryRun(rules.versions, studies, unreadable, looked)


def _files(folder: Path) -> Iterable[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


LookAtObjects = Callable[[Sequence[str]], PixelLook | None]


def _studies(
    headers: Iterable[Header], rules: SelectionRules, look_at: LookAtObjects
) -> tuple[StudyChoice, ...]:
    by_study = groupby(sorted(headers, key=_study_uid), key=_study_uid)
    return tuple(_study(uid, list(group), rules, look_at) for uid, group in by_study)


def _study(
    uid: str, headers: Sequence[Header], rules: SelectionRules, look_at: LookAtObjects
) -> StudyChoice:
    by_series = groupby(sorted(headers, key=_series_uid), key=_series_uid)
    selected = [
        _Candidate(select_images(group, rules), group)
        for group in (list(group) for _, group in by_series)
    ]
    ranked = sorted(selected, key=lambda candidate: -(candidate.selection.score or 0))
    chosen, seen = _choose(ranked, look_at)
    series = tuple(
        _series(candidate, id(candidate) in chosen, seen.get(id(candidate))) for candidate in ranked
    )
    return StudyChoice(uid, headers[0].study_description, series)


@dataclass(frozen=True, eq=False)
class _Candidate:
    selection: Selection
    headers: Sequence[Header]

    @property
    def analysed(self) -> list[str]:
        """The objects that the selection does not leave out."""
        uids = [header.identity.sop_instance_uid for header in self.headers]
        return [uid for uid in uids if uid not in self.selection.left_out]


def _choose(
    ranked: Sequence[_Candidate], look_at: LookAtObjects
) -> tuple[set[int], dict[int, PixelLook | None]]:
    """Choose as the planner does, and give the next one its turn where the images refuse."""
    seen: dict[int, PixelLook | None] = {}
    while True:
        left = [each for each in ranked if not _is_refused(seen.get(id(each)))]
        wanted = chosen_of([candidate.selection for candidate in left])
        chosen = [each for each in left if any(each.selection is it for it in wanted)]
        new = [candidate for candidate in chosen if id(candidate) not in seen]
        if not new:
            return {id(candidate) for candidate in chosen}, seen
        for candidate in new:
            seen[id(candidate)] = look_at(candidate.analysed)


def _is_refused(pixels: PixelLook | None) -> bool:
    return pixels is not None and bool(pixels.refusal)


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


def _series(candidate: _Candidate, chosen: bool, pixels: PixelLook | None) -> SeriesChoice:
    first, selection = candidate.headers[0], candidate.selection
    return SeriesChoice(
        series_instance_uid=first.identity.series_instance_uid,
        description=first.series_description,
        modality=first.modality,
        objects=len(candidate.headers),
        chosen=chosen,
        score=selection.score,
        reason=selection.reason,
        left_out=len(selection.left_out),
        pixels=pixels,
    )


def _study_uid(header: Header) -> str:
    return header.identity.study_instance_uid


def _series_uid(header: Header) -> str:
    return header.identity.series_instance_uid
