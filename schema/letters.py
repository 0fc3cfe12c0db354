"""Letters of any script: which signs of a text are kept that are no letters themselves."""

from typing import Final

# Of Persian and Indic names: without them letters join that do not, or the other way round. Nothing
# obeys them, as it does the signs that turn a text's direction.
JOINERS: Final = frozenset("\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}")
