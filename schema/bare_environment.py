"""What a process that decodes what strangers sent is given: nothing that it could tell."""

import os
from typing import Final

PREFIX: Final = "TRIAGE_"  # of every setting's name


def bare_environment() -> dict[str, str]:
    """Give a decoder no setting: it needs none, and some hold passwords."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    return kept | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}  # threads take memory
