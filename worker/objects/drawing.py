"""Pictures for viewers that show no masks: a page of text, and a slice with its contours.

Nothing of a patient is drawn: values, words and pixels of the slice alone.
"""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from schema.hemorrhage_subtypes import BLOOD_RGB, SUBTYPES, Claim, Subtype
from worker.findings import Finding
from worker.objects.revision import Revision
from worker.objects.statement import Statement, ascii_only
from worker.wording import LEVEL_WORDS, NOT_FOR_DIAGNOSIS, OUTCOME_WORDS, SCORE, type_words

SIDE: Final = 512
MARGIN: Final = 16
LINE_PX: Final = 19
COLUMNS: Final = 62  # characters that fit on a line
WINDOW_HU: Final = (0.0, 80.0)  # brain: level 40, width 80
KEY_SIDE: Final = 256  # of the picture on the list, which shows it a quarter as large
KEY_OUTLINE: Final = 8  # pixels of the page; two remain where it is shown
HEAD_HU: Final = -300.0  # darker is air and hair
WHITE: Final = (255, 255, 255)
BLACK: Final = (0, 0, 0)

Rgb = tuple[int, int, int]


@dataclass(frozen=True)
class Place:
    """Which slice a page shows.

    Attributes
    ----------
    number, of
        From below, of how many.
    sides
        What lies at each.
    source
        What its source calls it: the Instance Number or the frame; empty where it has none.
    """

    number: int
    of: int
    sides: Mapping[str, str]
    source: str = ""

    def __str__(self) -> str:
        named = f" ({self.source})" if self.source else ""
        return f"slice {self.number} of {self.of} from below{named}"


@dataclass(frozen=True)
class Origin:
    """What tells a page from those of other series and revisions.

    Attributes
    ----------
    series
        Series Number of the source; None where it has none, and of a study that was not analysed.
    """

    series: int | None
    revision: Revision
    made_at: datetime

    @property
    def lines(self) -> list[str]:
        """Say it in lines of a page."""
        series = "Revision" if self.series is None else f"Series {self.series}, revision"
        said = f"{series} {self.revision.number}, {self.made_at:%Y-%m-%d %H:%M %Z}"
        return [said, *(["Replaces what was said before"] if self.revision.replaces else [])]


def draw_summary(statement: Statement, origin: Origin) -> npt.NDArray[np.uint8]:
    """Draw the page of text, (row, column, 3)."""
    image = Image.new("RGB", (SIDE, SIDE))
    lines = [line for text in summary_lines(statement, origin) for line in _wrapped(text)]
    room = (SIDE - 2 * MARGIN) // LINE_PX
    if len(lines) > room:
        lines = [*lines[: room - 1], "... more in the report"]
    _write(image, lines, MARGIN)
    return np.asarray(image)


def summary_lines(statement: Statement, origin: Origin) -> list[str]:
    """Say all that the page of text says, a paragraph a line."""
    lines = [NOT_FOR_DIAGNOSIS.upper(), *origin.lines, "", OUTCOME_WORDS[statement.outcome], ""]
    if statement.is_analysed:
        lines.append(f"Priority {statement.level} ({LEVEL_WORDS[statement.level]})")
    lines.append(statement.reason)
    if statement.any is not None:
        lines += [
            "",
            f"Any hemorrhage: {_shown(statement.any.probability, statement.any.volume_ml)}",
        ]
    for subtype, finding in statement.told_apart:
        lines += _of_type(subtype, finding, statement.claim(subtype))
    lines += ["", *statement.caveats]
    if statement.is_analysed:
        lines += ["", f"{SCORE}; preliminary, verified by nobody"]
        lines.append(f"Model {statement.model} {statement.model_sha256[:12]}")
        lines.append(f"Rule version {statement.rule_version}")
    return lines


def _of_type(subtype: Subtype, finding: Finding, claim: Claim) -> list[str]:
    """Say what the list says: of a hint no volume, and nothing where none was outlined."""
    if claim is Claim.REPORTED:
        return [f"{subtype.name}: {_shown(finding.probability, finding.volume_ml)}"]
    name = type_words(subtype.name, claim, finding.present)
    return [f"{name}: score {finding.probability:.2f}"] if finding.present else []


def _shown(probability: float, volume_ml: float) -> str:
    return f"{volume_ml:.1f} mL, score {probability:.2f}"


def draw_slice(
    hu: npt.NDArray[np.float32],
    labels: npt.NDArray[np.uint8],
    spacing_mm: tuple[float, float],
    statement: Statement,
    place: Place,
    origin: Origin,
) -> npt.NDArray[np.uint8]:
    """Draw one slice in the brain window with the contours of its masks, (row, column, 3).

    Parameters
    ----------
    hu, labels
        (row, column) of the slice.
    spacing_mm
        Between rows, between columns.
    """
    picture = _outlined(hu, labels, spacing_mm, statement)
    canvas = np.zeros((SIDE, SIDE, 3), np.uint8)
    rows, columns = picture.shape[:2]
    top, left = (SIDE - rows) // 2, (SIDE - columns) // 2
    canvas[top : top + rows, left : left + columns] = picture
    image = Image.fromarray(canvas)
    lines = [NOT_FOR_DIAGNOSIS, str(place), *origin.lines]
    _write(image, lines, 2)
    _legend(image, statement, labels)
    _letters(image, place.sides, len(lines))
    return np.asarray(image)


def draw_key(
    hu: npt.NDArray[np.float32],
    labels: npt.NDArray[np.uint8],
    spacing_mm: tuple[float, float],
    statement: Statement,
    sides: Mapping[str, str],
) -> npt.NDArray[np.uint8]:
    """Draw the head of one slice as small as a list can show it, (row, column, 3), no word on it.

    Parameters are those of `draw_slice`. Letters would be too small to read, so the head lies as
    it is usually read: its right side at the left, the face up.
    """
    picture = _outlined(hu, labels, spacing_mm, statement, KEY_OUTLINE)
    rows, columns = _grid(hu.shape[:2], spacing_mm)
    top, bottom, left, right = _box(hu[rows][:, columns] > HEAD_HU)
    side = max(bottom - top, right - left)
    square = Image.new("RGB", (side, side))
    cut = Image.fromarray(picture[top:bottom, left:right])
    square.paste(cut, ((side - cut.width) // 2, (side - cut.height) // 2))
    small = square.resize((KEY_SIDE, KEY_SIDE), Image.Resampling.LANCZOS)
    return _as_usual(np.asarray(small), sides)


def _as_usual(picture: npt.NDArray[np.uint8], sides: Mapping[str, str]) -> npt.NDArray[np.uint8]:
    left, top = sides["left"], sides["top"]
    if left in "AP":  # the patient lies on a side
        picture, left, top = picture.swapaxes(0, 1), top, left
    if left == "L":
        picture = picture[:, ::-1]
    return picture[::-1] if top == "P" else picture


def _box(mask: npt.NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """Give top, bottom, left and right of what is set; of the whole where nothing is."""
    across, down = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
    if not len(across):
        return 0, mask.shape[0], 0, mask.shape[1]
    return int(down[0]), int(down[-1]) + 1, int(across[0]), int(across[-1]) + 1


def _outlined(
    hu: npt.NDArray[np.float32],
    labels: npt.NDArray[np.uint8],
    spacing_mm: tuple[float, float],
    statement: Statement,
    width: int = 2,
) -> npt.NDArray[np.uint8]:
    """Draw a slice with its contours as large as fits the page, (row, column, 3)."""
    rows, columns = _grid(hu.shape[:2], spacing_mm)
    low, high = WINDOW_HU
    grey = np.clip((hu[rows][:, columns] - low) / (high - low), 0, 1) * 255
    picture = np.repeat(grey.astype(np.uint8)[..., None], 3, axis=2)
    enlarged = labels[rows][:, columns]
    for subtype in SUBTYPES:
        line = outline(enlarged == subtype.segment_number, width)
        picture[line] = _colour(statement, subtype.key)
    return picture


def _grid(
    shape: tuple[int, ...], spacing_mm: tuple[float, float]
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Give the source row and column of each pixel of the page, with the true aspect."""
    size_mm = np.array(shape) * spacing_mm
    pixels = np.maximum(np.floor(SIDE * size_mm / size_mm.max()).astype(int), 1)
    rows, columns = (
        np.minimum((np.arange(count) * length // count), length - 1)
        for count, length in zip(pixels, shape, strict=True)
    )
    return rows, columns


def outline(mask: npt.NDArray[np.bool_], width: int = 2) -> npt.NDArray[np.bool_]:
    """Give the pixels of a mask that lie within so many of its edge."""
    inner = mask
    for _ in range(width):
        padded = np.pad(inner, 1)
        inner = inner & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return mask & ~inner


def _colour(statement: Statement, key: str) -> Rgb:
    named = {subtype.key: subtype.rgb for subtype, _ in statement.told_apart}
    return named.get(key, BLOOD_RGB)


def _legend(image: Image.Image, statement: Statement, labels: npt.NDArray[np.uint8]) -> None:
    seen = [subtype for subtype in SUBTYPES if (labels == subtype.segment_number).any()]
    named = {subtype.key for subtype, _ in statement.told_apart}
    names = {
        subtype.name if subtype.key in named else "Hemorrhage": subtype.key for subtype in seen
    }
    for line, (name, key) in enumerate(names.items(), start=1):
        height = SIDE - MARGIN - LINE_PX * line
        _write(image, [name], height, _colour(statement, key))


def _letters(image: Image.Image, sides: Mapping[str, str], lines: int) -> None:
    """Write what lies at each side, within the edges: the top below so many lines of words."""
    font, draw = ImageFont.load_default(18), ImageDraw.Draw(image)
    middle, far = SIDE // 2, SIDE - MARGIN
    at = {
        "left": (MARGIN, middle),
        "right": (far, middle),
        "top": (middle, (lines + 1) * LINE_PX),
        "bottom": (middle, far),
    }
    for side, place in at.items():
        draw.text(place, sides[side], WHITE, font, anchor="mm", stroke_width=2, stroke_fill=BLACK)


def _write(image: Image.Image, lines: Sequence[str], top: int, colour: Rgb = WHITE) -> None:
    font = ImageFont.load_default(15)
    draw = ImageDraw.Draw(image)
    for number, line in enumerate(lines):
        place = (MARGIN, top + number * LINE_PX)
        draw.text(place, line, colour, font, stroke_width=2, stroke_fill=BLACK)


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(ascii_only(text), COLUMNS) or [""]
