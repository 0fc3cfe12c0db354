"""What the list cannot tell by its rows: a quiet night looks like a system that is down."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from schema.monitoring.signs import Part
from worklist.entries import Worklist
from worklist.formatting import duration

MISSING: Mapping[Part, str] = MappingProxyType(
    {
        Part.RECEIVER: "No images arrive: the part that receives them from the scanners does not"
        " work. Studies may be missing from this list. Read all studies in their normal order, and"
        " call the operator.",
        Part.TRIAGE: "No study is analysed: the part that looks for hemorrhage does not work. Do"
        " not wait for results: read new studies in their normal order, and call the operator.",
    }
)
MANY = ("studies wait", "them", "their")
EMPTY_SAYS_NOTHING = (
    "This list is empty, and that says nothing about the studies: see the warning above."
)


def warnings_of(worklist: Worklist) -> Iterator[str]:
    """Say what of the system does not work, and how many studies wait too long."""
    yield from (words for part, words in MISSING.items() if part in worklist.missing)
    if count := worklist.late:
        wait, them, their = ("study waits", "it", "its") if count == 1 else MANY
        yield (
            f"{count} {wait} longer than {duration(worklist.late_after.total_seconds())} for a"
            f" result. Do not wait for it: read {them} in {their} normal place, and tell the"
            " operator."
        )


def empty_means(worklist: Worklist, quiet: str) -> str:
    """Say what an empty list means: `quiet` only while everything that fills it works."""
    return EMPTY_SAYS_NOTHING if worklist.missing else quiet
