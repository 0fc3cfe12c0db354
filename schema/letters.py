"""Letters of any script: which signs are kept that are none, and how a text is looked for."""

import unicodedata
from typing import Final

# Of Persian and Indic names: without them letters join that do not, or the other way round. Nothing
# obeys them, as it does the signs that turn a text's direction.
JOINERS: Final = frozenset("\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}")
MOST_FOLDED: Final = 300  # with the text as it was written, all that a row of an index takes


def fold(text: str) -> str:
    """Write a text as it is looked for: of any case, width and way to write an accent the same.

    A database's own lower() knows the letters of ASCII alone, as SQLite's does, or those of a
    locale that somebody chose years ago.
    """
    plain = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return "".join(sign for sign in plain if sign not in JOINERS)


def fold_beyond_ascii(*texts: str) -> str | None:
    """Fold what stands in the columns that are searched; None where lower() does the same."""
    written = " ".join(texts)
    return None if written.isascii() else fold(written)[:MOST_FOLDED]
