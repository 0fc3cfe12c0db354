"""The paper's tables 7, 9, 10 and 11 with ours beside, and the clinical protocol's own."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from trainer.datasets.people import people
from trainer.evaluation.metrics import ANSWERS, ratio
from trainer.evaluation.studies import Study, severity
from trainer.reports import published
from trainer.reports.document import UNKNOWN, Table, shown
from worker.munet.card import CLASSES

Report = Mapping[str, Any]
PAPER_PROTOCOL = (
    "Ours: slices with exactly one type of hemorrhage of the named patients. The paper: its 71"
    " test slices, of other patients where the named ones are not table 3's."
)


def table_7(report: Report) -> Table:
    """Dice, IoU and agreement of areas by type."""
    ours = report["segmentation"]
    rows = []
    for name in (*published.ORDER, "mean"):
        icc = str(published.MEAN_ICC) if name == "mean" else "-"
        rows.append(
            (
                name,
                str(ours[name]["slices"]) if name != "mean" else "",
                str(ours[name]["patients"]) if name != "mean" else "",
                shown(ours[name]["dice"]),
                f"{published.DICE[name]:.2f}",
                shown(ours[name]["iou"]),
                f"{published.IOU[name]:.2f}",
                shown(ours[name]["icc"]),
                icc,
            )
        )
    head = ("type", "slices", "patients", "Dice", "paper", "IoU", "paper", "ICC(A,1)", "paper")
    note = (
        f"{PAPER_PROTOCOL} Means over slices, also over those with several types where each pixel's"
        " is known; the mean is over the measurable types."
    )
    return Table("Table 7. Segmentation", head, tuple(rows), note)


def table_9(report: Report) -> Table:
    """Precision, recall and F1 by type; the argmax over five scores is the type."""
    ours = report["classification"]
    rows = []
    for name in CLASSES:
        mine = (ours[name]["recall"], *(ours[name][key] for key in ("precision", "recall", "f1")))
        pairs = zip(mine, published.CLASSIFICATION[name], strict=True)
        rows.append((name, *(cell for a, b in pairs for cell in (shown(a), f"{b:.2f}"))))
    rows.append(("all", shown(ours["accuracy"], digits=3), str(published.ACCURACY), *("",) * 6))
    rows.append(("mean over types", shown(ours["balanced_accuracy"], digits=3), "-", *("",) * 6))
    heads = [word for name in ("accuracy", "precision", "recall", "F1") for word in (name, "paper")]
    note = f"{PAPER_PROTOCOL} Accuracy of a type is the share of its slices called right."
    return Table("Table 9. Classification", ("type", *heads), tuple(rows), note)


def table_9_outlined(report: Report) -> Table:
    """Say as what the slices of table 9 are outlined."""
    title = "As what the slices of table 9 are outlined"
    return outlined_types(report["classification"]["outlined"], title)


def outlined_types(figures: Report, title: str) -> Table:
    """Slices by true type and by what most of their outlined blood is called."""
    rows = [
        (name, *map(str, counts), shown(ratio(counts[index], sum(counts))), said(figures, name))
        for index, (name, counts) in enumerate(zip(CLASSES, figures["confusion"], strict=True))
    ]
    blank = ("",) * len(ANSWERS)
    rows.append(("all", *blank, shown(figures["accuracy"], digits=3), ""))
    rows.append(("mean over types", *blank, shown(figures["balanced_accuracy"], digits=3), ""))
    note = "Slices with exactly one type; one that is missed or uncertain is not right."
    return Table(title, ("type", *ANSWERS, "right", "may be"), tuple(rows), note)


def said(figures: Report, name: str) -> str:
    """Put a claim into words."""
    return str(figures["claims"][name]).replace("_", " ").lower()


def table_10(report: Report) -> Table:
    """Segmentation beside what others report."""
    mean = report["segmentation"]["mean"]
    rows = [
        (row.authors, row.method, f"{row.dice:g}", "-" if row.iou is None else f"{row.iou:g}")
        for row in published.TABLE_10
    ]
    rows.append(("this model", report["model"]["name"], shown(mean["dice"]), shown(mean["iou"])))
    note = "Each on its own split of the same release: the others' patients are not ours."
    return Table(
        "Table 10. Segmentation of others", ("", "method", "Dice", "IoU"), tuple(rows), note
    )


def table_11(report: Report) -> Table:
    """Classification beside what others report."""
    ours = report["classification"]
    auc = tuple(ours[name]["auc"] for name in published.TABLE_11_TYPES)
    means = tuple(macro(ours, key) for key in ("specificity", "recall", "precision"))
    rows = [
        (row.authors, row.method, *(_cell(value) for value in (*row.auc, *row.figures)))
        for row in published.TABLE_11
    ]
    mine = (shown(value) for value in (*auc, *means, ours["accuracy"]))
    rows.append(("this model", report["model"]["name"], *mine))
    types = (f"AUC {name}" for name in published.TABLE_11_TYPES)
    head = ("", "method", *types, "specificity", "sensitivity", "precision", "accuracy")
    note = (
        f"{PAPER_PROTOCOL} Specificity, sensitivity and precision: means over measurable types."
        " Ours is the AUC of a type's lead over the best other type's logit; which score the"
        " others' is of, they do not say."
    )
    return Table("Table 11. Classification of others", head, tuple(rows), note)


def macro(classification: Report, key: str) -> float:
    """Mean of a figure over the types where it can be measured."""
    values = [classification[name][key] for name in CLASSES]
    known = [value for value in values if not math.isnan(value)]
    return float(np.mean(known)) if known else math.nan


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:g}"


def any_bleed(report: Report) -> Table:
    """Any hemorrhage by slice and by study, with intervals, and the masks."""
    rows = []
    for key, words in (
        ("auc", "AUC"),
        ("sensitivity", "sensitivity"),
        ("specificity", "specificity"),
    ):
        cells = (
            shown(report[level][key], report[level]["ci95"][key])
            for level in ("slice_any", "study_any")
        )
        rows.append((words, *cells))
    for key, words in (("brier", "Brier score"), ("ece", "expected calibration error")):
        rows.append((words, *(shown(report["clinical"]["calibration"][level][key], digits=3)
                              for level in ("slice", "study"))))  # fmt: skip
    by_chance = report["clinical"]["calibration"]["study"]["ece_by_chance"]
    ends = " to ".join(f"{end:.3f}" for end in by_chance) or UNKNOWN
    rows.append(("the same, were the probabilities exactly true", "", ends))
    mask = report["segmentation"]["any"]
    rows.append(("Dice pooled over all voxels", shown(mask["dice"]), ""))
    rows.append(("mean Dice over positive slices", shown(mask["mean_dice"]), ""))
    note = (
        f"Every slice of {counted(report['patients'])}, {report['slices']} slices, at the"
        " operating point. 95 % intervals: exact for shares of studies, else by bootstrap over"
        " patients."
    )
    return Table("Any hemorrhage", ("", "by slice", "by study"), tuple(rows), note)


def counted(patients: Sequence[int]) -> str:
    """Say how many patients there are, and of how many scans."""
    number = len(people(patients))
    scans = f" ({len(patients)} scans)" if number < len(patients) else ""
    return f"{number} patients{scans}"


def by_volume(report: Report) -> Table:
    """Sensitivity by study in bins of volume."""
    rows = [
        (_bin(row), str(row["studies"]), shown(row["sensitivity"], row["ci95"]))
        for row in report["clinical"]["sensitivity_by_volume"]
    ]
    head = ("volume", "studies", "sensitivity")
    note = "95 % intervals, exact."
    return Table("Sensitivity by volume of the bleed", head, tuple(rows), note)


def _bin(row: Report) -> str:
    if row["to_ml"] is None:
        return f"> {row['from_ml']:g} mL"
    return (
        f"{row['from_ml']:g} to {row['to_ml']:g} mL" if row["from_ml"] else f"< {row['to_ml']:g} mL"
    )


def volumes(report: Report) -> Table:
    """Error of the volume, and what is found in healthy heads."""
    error, healthy = report["clinical"]["volume_error_ml"], report["clinical"]["healthy"]
    intervals = error.get("ci95", {})
    limits = " to ".join(f"{limit:.1f}" for limit in error["limits"]) or UNKNOWN
    rows = (
        ("mean error, mL", shown(error["bias"], intervals.get("bias", ()), 1)),
        ("limits of agreement, mL", UNKNOWN if "nan" in limits else limits),
        ("mean absolute error, mL",
         shown(error["mean_absolute"], intervals.get("mean_absolute", ()), 1)),
        ("healthy: slices called, per study", shown(healthy["slices_called_per_study"])),
        ("healthy: slices with a mask, per study", shown(healthy["slices_with_mask_per_study"])),
        ("healthy: found, mL per study", shown(healthy["found_ml_per_study"])),
    )  # fmt: skip
    note = f"{error['studies']} studies with and {healthy['studies']} without hemorrhage."
    return Table("Volumes and false alarms", ("", "value"), rows, note)


def predictive(report: Report) -> Table:
    """PPV and NPV by study at given prevalences."""
    rows = tuple(
        (
            f"{100 * row['prevalence']:g} %",
            *(shown(row[name], row[f"{name}_range"]) for name in ("ppv", "npv")),
        )
        for row in report["clinical"]["predictive"]
    )
    note = "From sensitivity and specificity by study, both at the ends of their exact intervals."
    return Table("Predictive values", ("prevalence", "PPV", "NPV"), rows, note)


def by_patient(studies: Sequence[Study]) -> Table:
    """Every patient, the clinically worst first."""
    rows = [
        (
            str(study.patient),
            f"{study.volume_ml[0]:.1f}",
            f"{study.volume_ml[1]:.1f}",
            f"{study.probabilities[-1]:.2f}",
            outcome(study),
        )
        for study in sorted(studies, key=clinical_loss, reverse=True)
    ]
    head = ("patient", "true mL", "found mL", "probability", "outcome")
    note = (
        "The worst first: missed bleeds by their volume, then false alarms by what was found, then"
        " the others by the error of their volume."
    )
    return Table("By patient", head, tuple(rows), note)


def outcome(study: Study) -> str:
    """Say what an operating point made of a study."""
    if study.bleeds:
        return "found" if study.called else "missed"
    return "false alarm" if study.called else "left alone"


def clinical_loss(study: Study) -> tuple[int, float]:
    """Rank of what went wrong, and how much of it."""
    truth, found = study.volume_ml
    return severity(study.bleeds, study.called), abs(found - truth)


PAPER_TABLES = (table_7, table_9, table_9_outlined, table_10, table_11)
CLINICAL_TABLES = (any_bleed, by_volume, volumes, predictive)
