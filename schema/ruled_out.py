"""Tell a series that its images rule out from one that may be the head and could not be read.

By the next step that a reason ends with: a release before this one wrote the same, so its jobs are
told apart as well. A test holds the words against those who write them.
"""

from typing import Final

ANOTHER_SERIES: Final = (
    "send the head as its own series",
    "send the plain series",
    "send the conventional series",
    "send the CT series",
)
# Of a skull whose values nobody knows: it may be a bleeding head. The release before this one wrote
# one of the endings above behind it.
NO_HOUNSFIELD: Final = "no Hounsfield units"


def is_ruled_out(reason: str | None) -> bool:
    """Say whether a series shows no plain head; any other reason says nothing of what it shows."""
    said = reason or ""
    return said.endswith(ANOTHER_SERIES) and NO_HOUNSFIELD not in said
