"""Which changes of a series turn a head's outcome, as a table."""

from collections.abc import Sequence

from trainer.evaluation.perturb import ALLOWED, OF_SHADES, OF_SLICES, Outcomes, flips
from trainer.reports.document import Section, Table

TITLE = "The same head, the same answer"
TEXT = (
    "Each head is changed as scanners and technicians change it; what is in it stays, so an outcome"
    " that turns is an error. Tilt, kernel and motion are imitated, not scanned."
)
BARS = (
    f"One of {OF_SLICES} may turn by slices and small rotations, one of {OF_SHADES} by kernel and"
    " HU; of the other changes nothing is asked."
)


def most(name: str, heads: int) -> str:
    """Say how many outcomes a change may turn."""
    return str(heads // ALLOWED[name]) if name in ALLOWED else ""


def section(asked: Sequence[Outcomes]) -> Section:
    """Count what turned."""
    rows = [
        (
            name,
            *map(str, (silenced + raised, most(name, len(asked)), silenced, raised)),
            f"{apart:.2f}",
        )
        for name, silenced, raised, apart in flips(asked)
    ]
    head = (
        "change", "outcomes turned", "allowed", "to none found", "to suspicious", "largest shift",
    )  # fmt: skip
    bleeding = sum(answers.bleeds for answers in asked)
    note = f"Of {len(asked)} heads, {bleeding} of them with blood. {BARS}"
    return Section(TITLE, TEXT, (Table(TITLE, head, tuple(rows), note),))
