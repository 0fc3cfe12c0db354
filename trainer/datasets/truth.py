"""Which Segmentation of a CT series counts as the truth.

A mask that only an algorithm has drawn is an answer, not the truth. Segment Algorithm Type tells
them apart, as far as programs keep to it: OHIF hands on the type that a segment came with.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom.dataset import Dataset

from trainer.datasets.description import Description
from worker.objects.author import MANUFACTURER, MODEL_NAME


@dataclass(frozen=True)
class Found:
    """A file and its header without pixels."""

    path: Path
    header: Dataset


def truth(masks: Sequence[Found], described: Description) -> Path | None:
    """Return the newest Segmentation that somebody has drawn or corrected.

    Where AUTOMATIC ones count too: before them, and before this system's own answers.
    """
    drawn = [found for found in masks if described.automatic or not _is_automatic(found.header)]
    return max(drawn, key=_rank).path if drawn else None


def untold(masks: Sequence[Found], described: Description, is_outlined: bool) -> str:
    """Say why nobody knows whether a series bleeds that has no mask that counts; "": it doesn't.

    Parameters
    ----------
    is_outlined
        Whether any series of its patient has a Segmentation.
    """
    if others := [found for found in masks if not _is_ours(found.header)]:
        return (
            f"the segments of {max(others, key=_rank).path} are all marked AUTOMATIC, and whether"
            " anybody corrected them is not said (save it with segments marked MANUAL or"
            " SEMIAUTOMATIC, or set automatic = true)"
        )
    if masks:
        return "its mask is this system's own, with no segment marked as corrected (all AUTOMATIC)"
    if described.without_labels == "left out":
        return "it has no Segmentation"
    return "another series of its patient has a Segmentation, it has none" if is_outlined else ""


def remarks(masks: Sequence[Found], described: Description) -> list[str]:
    """Name the Segmentations beside the one that counts, and what of that is doubtful."""
    chosen = truth(masks, described)
    said = [
        f"{found.path}: passed over, of several Segmentations the newest counts that somebody drew,"
        f" {chosen}; what else bleeds must be saved in that one too"
        for found in masks
        if chosen and found.path != chosen
    ]
    counted = [found.header for found in masks if found.path == chosen]
    doubtful = [number for header in counted for number in _automatic_segments(header)]
    if doubtful and not described.automatic:
        listed = ", ".join(map(str, doubtful))
        said.append(f"{chosen}: segments {listed} are marked AUTOMATIC; they count with the others")
    return said


def _automatic_segments(header: Dataset) -> list[int]:
    segments = header.get("SegmentSequence") or ()
    return [
        segment.get("SegmentNumber")
        for segment in segments
        if segment.get("SegmentAlgorithmType") == "AUTOMATIC"
    ]


def _is_automatic(header: Dataset) -> bool:
    return len(_automatic_segments(header)) == len(header.get("SegmentSequence") or ())


def _is_ours(header: Dataset) -> bool:
    """Say whether this system wrote an object: another program names itself in what it saves."""
    made_by = (header.get("Manufacturer"), header.get("ManufacturerModelName"))
    return made_by == (MANUFACTURER, MODEL_NAME)


def _rank(found: Found) -> tuple[bool, bool, str, str]:
    """Order from the least to the most likely truth; without a date it is the oldest."""
    header = found.header
    written = [str(header.get(keyword) or "") for keyword in ("ContentDate", "ContentTime")]
    return not _is_automatic(header), not _is_ours(header), written[0], written[1]
