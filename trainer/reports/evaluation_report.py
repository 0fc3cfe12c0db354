"""The report of `evaluate`: one section a protocol, never a table of both."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trainer.datasets.people import people
from trainer.evaluation.gallery import Gallery
from trainer.evaluation.studies import Study
from trainer.reports import figures
from trainer.reports.document import Section, Text
from trainer.reports.tables import CLINICAL_TABLES, PAPER_TABLES, by_patient
from worker.munet.card import Card

PAPER = (
    "Slices with exactly one type of hemorrhage, the highest of five scores is the type, masks of"
    " the true type. Healthy slices are left out, and so are slices with several types, but for"
    " the masks of those of which the type of each pixel is known."
)
CLINICAL = "Every slice of every named patient, at the operating point of the model card."


@dataclass(frozen=True)
class Known:
    """Those of the evaluated patients whom the model has met before."""

    trained_on: tuple[int, ...]  # their slices made the weights
    chosen_on: tuple[int, ...]  # thresholds and calibration were chosen on them


def known(card: Card, patients: Sequence[int]) -> Known:
    """Hold the evaluated patients against those that the model card names."""
    met = (card.training.get(key, ()) for key in ("patients", "validation_patients"))
    return Known(*(tuple(sorted(people(group) & people(patients))) for group in met))


def heading(card: Card, met: Known) -> Text:
    """Title of a report, with a warning where its figures flatter the model."""
    text = f"Weights {card.sha256}. {_point(card)}"
    if met.trained_on:
        text += f" Not a test: the weights were trained on patients {_names(met.trained_on)}."
    if met.chosen_on:
        text += f" Thresholds and calibration were chosen on patients {_names(met.chosen_on)}."
    return Text(f"Evaluation of {card.name}", text)


def _point(card: Card) -> str:
    """Say where studies are called: a site's checkpoint has the weights that were shipped."""
    called = f"Operating point {card.chosen}, study threshold {card.operating_point.study_any:.3f}"
    site = card.training.get("site")
    return f"{called}, thresholds of a site, {site['studies']} studies." if site else f"{called}."


def _names(patients: Sequence[int]) -> str:
    return ", ".join(map(str, patients))


def sections(
    report: Mapping[str, Any], studies: Sequence[Study], gallery: Gallery
) -> list[Section]:
    """Tables and figures of one evaluation."""
    shown = gallery.examples
    pictures = [figures.masks(name, shown[name]) for name in figures.NUMBERS if name in shown]
    if shown:
        largest = max(shown.values(), key=lambda example: int(example.truth.sum()))
        pictures.insert(0, figures.preparation(largest, gallery.preprocessing))
    paper = (
        *pictures,
        figures.confusion(report),
        figures.bars(report),
        figures.roc_by_type(studies),
    )
    clinical = [figures.roc_any(studies), figures.reliability(report), figures.volumes(studies)]
    if gallery.worst:
        clinical.append(figures.worst(gallery.worst))
    return [
        Section("Paper's protocol", PAPER, tuple(table(report) for table in PAPER_TABLES), paper),
        Section(
            "Clinical protocol",
            CLINICAL,
            (*(table(report) for table in CLINICAL_TABLES), by_patient(studies)),
            tuple(clinical),
        ),
    ]
