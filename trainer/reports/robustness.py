"""Which changes of a series turn a head's outcome, as a table."""

from collections.abc import Sequence

from trainer.evaluation.perturb import Outcomes, flips
from trainer.reports.document import Section, Table

TITLE = "The same head, the same answer"
TEXT = (
    "Each head is changed as scanners and technicians change it; what is in it stays, so an outcome"
    " that turns is an error. Tilt, kernel and motion are imitated, not scanned."
)


def section(asked: Sequence[Outcomes]) -> Section:
    """Count what turned."""
    rows = [
        (name, str(silenced + raised), str(silenced), str(raised), f"{apart:.2f}")
        for name, silenced, raised, apart in flips(asked)
    ]
    head = ("change", "outcomes turned", "to none found", "to suspicious", "largest shift")
    bleeding = sum(answers.bleeds for answers in asked)
    note = f"Of {len(asked)} heads, {bleeding} of them with blood."
    return Section(TITLE, TEXT, (Table(TITLE, head, tuple(rows), note),))
