"""A dry run as text for a terminal or a pipe."""

import sys
from collections.abc import Callable
from typing import Final

from receiver.selection.dry_run import DryRun, SeriesChoice, StudyChoice

EVERY: Final = 50
LOOKED: Final = (
    "Names rank and refuse nothing by themselves: the images of what is chosen (*) were looked at "
    "as a worker\ndoes it, and where they show no plain head, the next series got its turn."
)
NOT_LOOKED: Final = (
    "Names rank and refuse nothing by themselves. The images were not looked at: no worker is "
    "installed here\n(pip install '.[worker]'). It looks at what is chosen (*), and where that is "
    "no plain head, the next\nseries gets its turn."
)


def count_files() -> Callable[[int], None]:
    """Show on a terminal how many files were read; stay silent in a pipe."""

    def show(done: int) -> None:
        if sys.stderr.isatty() and done % EVERY == 0:
            sys.stderr.write(f"\r{done} files read")

    return show


def describe(tried: DryRun) -> str:
    """Write one block for each study, the chosen series marked with a star."""
    blocks = [_study(study) for study in tried.studies] or ["No DICOM object found."]
    unreadable = f"{tried.unreadable} files are no DICOM objects. " if tried.unreadable else ""
    rules = f"{unreadable}Selection rules version {tried.selection_version}."
    return "\n\n".join([*blocks, f"{rules}\n{LOOKED if tried.looked else NOT_LOOKED}"])


def _study(study: StudyChoice) -> str:
    chosen = next((series for series in study.series if series.chosen), None)
    verdict = "no series would be analysed" if chosen is None else "would be analysed: *"
    head = f"Study {study.study_instance_uid} {study.description}".rstrip()
    return "\n".join([f"{head}\n  {verdict}", *map(_series, study.series)])


def _series(series: SeriesChoice) -> str:
    mark = "*" if series.chosen else " "
    pixels = f"\n         images: {series.pixels}" if series.pixels else ""
    score = "   -" if series.score is None else f"{series.score:5.2f}"
    name = series.description or "without description"
    return (
        f"{mark} {score}  {name} ({series.modality or 'no modality'}, {series.objects} objects)\n"
        f"         {series.series_instance_uid}\n         {series.reason}{pixels}"
    )
