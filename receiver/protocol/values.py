"""Values of a header that may lack them, garble them or lie; what cannot be read counts as absent.

Pydicom's warnings print the offending value, which may be a patient's: readers of these functions
open the file within `disable_value_validation`.
"""

import math
import struct
from collections.abc import Sequence
from typing import Any, Final

from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException

TEXT_LIMIT: Final = 256
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
    try:
        value = ds.get(keyword)
    except MALFORMED:
        return ()
    if value is None or value == "":
        return ()
    if isinstance(value, str | int | float) or not isinstance(value, Sequence):
        return (value,)
    return tuple(value)


def text(ds: Dataset, keyword: str) -> str:
    """Give an attribute as one line of text; PostgreSQL refuses NUL, a log refuses line ends."""
    joined = "\\".join(str(value) for value in values(ds, keyword))
    return "".join(char for char in joined if char.isprintable()).strip()[:TEXT_LIMIT]


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
