"""What training patients measured, and who is unlike them, as tables."""

from collections.abc import Mapping

from trainer.reports.document import Table
from worker.look.unlikeness import MEASURES, Unlikeness
from worker.munet.measured import Measured

BAR = (
    "The bar was chosen on these training patients, each held against the ranges of all others, so"
    " that no more than a twentieth of them is above; it says nothing of another scanner's."
)


def ranges(training: Measured) -> Table:
    """Show the range of each measure."""
    rows = tuple(
        (MEASURES[name].words, MEASURES[name].within(span.low, span.high))
        for name, span in training.ranges.items()
    )
    title = f"What {training.scans} training scans measure"
    note = f"5th and 95th percentile. {training.scans_above} scans score above {training.bar:g}."
    return Table(title, ("measure", "range"), rows, f"{note} {BAR}")


def above(whom: str, found: Mapping[int, Unlikeness], bar: float) -> Table:
    """List who scores above the bar, the furthest first."""
    high = sorted(
        ((patient, unlike) for patient, unlike in found.items() if unlike.score > bar),
        key=lambda pair: -pair[1].score,
    )
    rows = tuple((str(patient), f"{unlike.score:.2f}", str(unlike)) for patient, unlike in high)
    title = f"{whom}: {len(high)} of {len(found)} above the bar"
    return Table(title, ("patient", "score", "furthest out"), rows)
