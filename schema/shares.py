"""A share as people read it: never rounded up, so that 99.6 % of a head is not called all of it."""

import math
from typing import Final

WHOLE: Final = 0.995  # what a percentage without decimals would call all of it


def percent(share: float) -> str:
    """Write a share, 0 to 1, as a percentage without decimals.

    To a tenth first, as it is stored: what is told of a result and what is read from its row agree.
    """
    return f"{math.floor(round(100 * share, 1))} %"
