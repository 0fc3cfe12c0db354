"""Lists of regular expressions in a rule file, read as one that ignores case."""

import re
from typing import Annotated, Final

from pydantic import BeforeValidator

NOTHING: Final = r"(?!)"  # what an empty list of patterns finds


def _compile(patterns: object) -> re.Pattern[str]:
    """Make one pattern of a list of them.

    Raises
    ------
    ValueError
        If it is no list of texts, or one is no regular expression.
    """
    if not isinstance(patterns, list) or not all(isinstance(pattern, str) for pattern in patterns):
        raise ValueError("must be a list of patterns")
    for pattern in patterns:
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(f"bad pattern {pattern!r}: {error}") from error
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns) or NOTHING, re.IGNORECASE)


Patterns = Annotated[re.Pattern[str], BeforeValidator(_compile)]
