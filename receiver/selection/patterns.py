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
    if not isinstance(patterns, list) or not all(isinstance(one, str) for one in patterns):
        raise ValueError("must be a list of patterns")
    for one in patterns:
        try:
            re.compile(one)
        except re.error as error:
            raise ValueError(f"bad pattern {one!r}: {error}") from error
    return re.compile("|".join(f"(?:{one})" for one in patterns) or NOTHING, re.IGNORECASE)


Patterns = Annotated[re.Pattern[str], BeforeValidator(_compile)]
