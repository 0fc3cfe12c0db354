"""What a radiologist is not to be told: the words of programs."""

import re
from typing import Final

OF_PROGRAMS: Final = re.compile(
    r"[A-Z]\w*(Error|Exception)\b|TRIAGE_|/|\.dcm\b|\.safetensors\b|exit status|checkpoint|None\b"
)


def is_plain(reason: str) -> bool:
    """Say whether a reason has no class of an error, path, setting or hint for operators."""
    return bool(reason) and OF_PROGRAMS.search(reason) is None
