"""`python -m worker.look_child`: what the images of a series show, for a program without a decoder.

Reads the paths of one series a line from standard input, as a JSON array, and writes what was seen,
as a JSON object a line, to standard output. `python -m receiver dry-run` starts it.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from schema.errors import TriageError
from schema.settings import Settings, settings_or_exit
from worker.decoders import Decoders
from worker.look.marks import marks, refusal
from worker.look.series_look import look
from worker.slices import read_series


def main() -> None:
    """Look at what is asked for until standard input ends."""
    settings = settings_or_exit()
    for line in sys.stdin:
        seen = look_at_files([Path(path) for path in json.loads(line)], settings)
        sys.stdout.write(json.dumps(seen) + "\n")
        sys.stdout.flush()


def look_at_files(paths: Sequence[Path], settings: Settings) -> dict[str, object]:
    """Give what a worker would see: `refusal`, `marks`, `look` and `coverage`."""
    try:
        with Decoders(settings.decode_memory_mb, settings.decode_limit_s) as decoders:
            source = read_series(paths, decoders)
        seen = look(source.volume, source.thickness_mm)
    except TriageError as error:
        return {"refusal": str(error), "marks": [], "look": None, "coverage": None}
    return {
        "refusal": refusal(seen),
        "marks": list(marks(seen)),
        "look": seen.to_json(),
        "coverage": seen.coverage.to_json() if seen.coverage else None,
    }


if __name__ == "__main__":
    main()
