"""The report of `evaluate`: one section a protocol, never a table of both."""

from collections.abc import Mapping, Sequence
from typing import Any

from trainer import figures
from trainer.gallery import Gallery
from trainer.judge import Study
from trainer.report import Section, Text
from trainer.tables import CLINICAL_TABLES, PAPER_TABLES
from worker.munet.card import Card

PAPER = (
    "Slices with exactly one type of hemorrhage, the highest of five scores is the type, masks of"
    " the true type. Healthy slices and slices with several types are left out."
)
CLINICAL = "Every slice of every named patient, at the operating point of the model card."


def leaked(card: Card, patients: Sequence[int]) -> list[int]:
    """Name those of the judged patients that the weights were trained on."""
    return sorted(set(card.training.get("patients", ())) & set(patients))


def heading(card: Card, leaks: Sequence[int]) -> Text:
    """Title of a report, with a warning where it can't be believed."""
    warning = (
        f" Not a test: the weights were trained on patients {', '.join(map(str, leaks))}."
        if leaks
        else ""
    )
    return Text(f"Evaluation of {card.name}", f"Weights {card.sha256}.{warning}")


def sections(
    report: Mapping[str, Any], studies: Sequence[Study], gallery: Gallery
) -> list[Section]:
    """Tables and figures of one evaluation."""
    shown = gallery.examples
    pictures = [figures.masks(name, shown[name]) for name in figures.NUMBERS if name in shown]
    if shown:
        largest = max(shown.values(), key=lambda one: int(one.truth.sum()))
        pictures.insert(0, figures.preparation(largest, gallery.preprocessing))
    paper = (
        *pictures,
        figures.confusion(report),
        figures.bars(report),
        figures.roc_by_type(studies),
    )
    clinical = (figures.roc_any(studies), figures.reliability(report), figures.volumes(studies))
    return [
        Section("Paper's protocol", PAPER, tuple(table(report) for table in PAPER_TABLES), paper),
        Section(
            "Clinical protocol",
            CLINICAL,
            tuple(table(report) for table in CLINICAL_TABLES),
            clinical,
        ),
    ]
