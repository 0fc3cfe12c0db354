"""Values of a header that may lack them, garble them or lie; what cannot be read counts as absent.

Pydicom's warnings print the offending value, which may be a patient's: readers of these functions
open the file within `disable_value_validation`.
"""

import math
import struct
import unicodedata
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any, Final

from pydicom.dataelem import RawDataElement, convert_raw_data_element
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException
from pydicom.tag import BaseTag, Tag

from schema.letters import JOINERS

TEXT_LIMIT: Final = 256
REPEATED_BYTES: Final = 128  # longer values are rare, and the memory of what was decoded is bounded
LARGEST: Final = 1e9  # beyond any position or spacing; keeps later sums finite
# What pydicom raises on an element that is not what its VR claims.
MALFORMED: Final = (
    ArithmeticError,
    AttributeError,
    BytesLengthException,
    EOFError,
    LookupError,
    NotImplementedError,
    OSError,
    RecursionError,
    TypeError,
    ValueError,
    struct.error,
)


def values(ds: Dataset, keyword: str) -> Sequence[Any]:
    """Give an attribute's values; none if it is absent, empty or unreadable."""
    tag = _tag(keyword)
    if tag not in ds:  # most are absent, and an exception for each costs more than all the rest
        return ()
    try:
        value = _value(ds, tag)
    except MALFORMED:
        return ()
    if value is None or value == "":
        return ()
    if isinstance(value, str | int | float) or not isinstance(value, Sequence):
        return (value,)
    return tuple(value)


def text(ds: Dataset, keyword: str) -> str:
    """Give an attribute as one line of text."""
    return one_line("\\".join(str(value) for value in values(ds, keyword)))


def one_line(written: str) -> str:
    """Leave out what PostgreSQL refuses, such as NUL, or a log, such as a line's end.

    A space is one in any script: left out, a Japanese family name would run into the given one.
    """
    if not written.isprintable():
        written = "".join(map(_kept, written))
    return written.strip()[:TEXT_LIMIT]


def _kept(sign: str) -> str:
    if unicodedata.category(sign) == "Zs":
        return " "
    return sign if sign.isprintable() or sign in JOINERS else ""


def numbers(ds: Dataset, keyword: str, count: int) -> tuple[float, ...]:
    """Give `count` finite numbers, or none of them."""
    try:
        found = tuple(float(value) for value in values(ds, keyword))
    except MALFORMED:
        return ()
    small = all(abs(number) <= LARGEST for number in found)  # NaN is not <=
    return found if small and len(found) == count else ()


def number(ds: Dataset, keyword: str) -> float | None:
    """Give one finite number, or None."""
    return next(iter(numbers(ds, keyword, 1)), None)


def integer(ds: Dataset, keyword: str) -> int:
    """Give a whole number, 0 where there is none."""
    found = number(ds, keyword)
    return 0 if found is None else math.floor(found)


def items(ds: Dataset, keyword: str) -> tuple[Dataset, ...]:
    """Give the items of a sequence; none if it is absent or something else."""
    return tuple(item for item in values(ds, keyword) if isinstance(item, Dataset))


def _value(ds: Dataset, tag: BaseTag) -> Any:
    element = ds.get_item(tag)
    if not isinstance(element, RawDataElement) or not _repeats(element):
        return ds[tag].value
    charset = ds.original_character_set
    charsets = (charset,) if isinstance(charset, str) else tuple(charset)
    return _decoded(element._replace(value_tell=0), charsets)


def _repeats(element: RawDataElement) -> bool:
    return element.VR != "SQ" and 0 < len(element.value or b"") <= REPEATED_BYTES


@lru_cache(maxsize=4096)
def _decoded(element: RawDataElement, charsets: tuple[str, ...]) -> Any:
    """Decode once what the slices of a series repeat."""
    return convert_raw_data_element(element, encoding=list(charsets)).value


@cache
def _tag(keyword: str) -> BaseTag:
    return Tag(keyword)
