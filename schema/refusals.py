"""Tell a series that the selection refused although it may be a head from one that shows none.

By the words of its reason, as `schema.ruled_out` does for what a worker refuses: a release before
this one wrote the same. A test holds the words against those who write them.
"""

from typing import Final

MAY_BE_A_HEAD: Final = (
    "no readable object",
    "no usable position or orientation",
    "several images at one position",
    "pixel spacing outside",
    "part of the head would go unread",
    "kinds of images and more in one series",
)


def may_be_a_head(reason: str | None) -> bool:
    """Say whether a refusal is one of how images came, and says nothing of what they show."""
    return any(words in (reason or "") for words in MAY_BE_A_HEAD)
