"""The outcome of a cross-validation as JSON, tables and a report."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from trainer.config import RunConfig
from trainer.evaluation.clinical import clinical_figures
from trainer.evaluation.evaluate import evaluate
from trainer.evaluation.expected import NEXT
from trainer.evaluation.gallery import Gallery
from trainer.evaluation.outlined import outlined, with_type
from trainer.evaluation.perturb import to_json as perturbed
from trainer.evaluation.pooled import Measured, clinical, gain, measured, paper
from trainer.evaluation.studies import Study, patients_of
from trainer.experiments.crossval import Network
from trainer.reports import figures, robustness
from trainer.reports.document import Section, Table, shown
from trainer.reports.tables import by_patient, counted, outlined_types
from worker.munet.card import CLASSES

NAMES = {"munet": "MUNet", "unet": "plain U-Net of the same budget"}
CLINICAL = {
    "any_dice": "any bleed, Dice pooled over all voxels",
    "any_dice_by_slice": "any bleed, mean Dice over positive slices",
    "slice_auc": "any bleed, AUC by slice",
    "study_auc": "any bleed, AUC by study",
    "slice_sensitivity": "any bleed, sensitivity by slice",
    "slice_specificity": "any bleed, specificity by slice",
    "study_sensitivity": "any bleed, sensitivity by study",
    "study_specificity": "any bleed, specificity by study",
}
PAPER = {
    "type_accuracy": "type accuracy",
    "type_balanced_accuracy": "type accuracy, mean over types",
    "outlined_accuracy": "type of what is outlined, misses counted",
    "outlined_balanced_accuracy": "type of what is outlined, mean over types",
} | {f"{name}_dice": f"{name}, Dice" for name in CLASSES}
PAPER |= {"mean_dice": "mean Dice over types"}
INTERVALS = "With 95 % intervals: exact for shares of studies, else by bootstrap over patients."
OPERATING = (
    "Each patient is evaluated by a network that never saw them. Calibration and thresholds of a"
    " fold come from the other folds' patients, never from those it is measured on; with one fold"
    " finished they are fixed beforehand. How scores are combined was chosen once on all patients."
)
FIXED_NOTE = "One fold alone has finished: its patients at thresholds fixed beforehand"
CHOSEN_NOTE = "Each fold's patients at thresholds chosen on the others"
NEXT_NOTE = (
    "; 95 % prediction interval of the beta-binomial distribution. It holds for patients and"
    " scanners like these alone."
)
PROTOCOLS = {
    "clinical": "Clinical protocol: every slice of every patient. ",
    "paper": "Paper's protocol: slices with exactly one type, the highest of five scores is the"
    " type, masks of the true type, also of slices with several where each pixel's is known. ",
}


@dataclass(frozen=True)
class Outcome:
    """Figures of every network, and of the first minus the second where both evaluated."""

    config: RunConfig
    networks: Sequence[Network]
    clinical: Mapping[str, Mapping[str, Measured]]
    paper: Mapping[str, Mapping[str, Measured]]


def outcome(config: RunConfig, networks: Sequence[Network]) -> Outcome:
    """Pool the folds of each network; networks without a finished fold are left out."""
    found = [network for network in networks if network.folds]
    columns: dict[str, dict[str, dict[str, Measured]]] = {"clinical": {}, "paper": {}}
    for protocol, wanted in (("clinical", clinical), ("paper", paper)):
        for network in found:
            columns[protocol][network.architecture] = measured(network.studies, wanted)
        if len(found) > 1:
            ours, theirs = common(found[0].studies, found[1].studies)
            columns[protocol]["gain"] = gain(ours, theirs, wanted) if ours else {}
    return Outcome(config, found, columns["clinical"], columns["paper"])


def common(ours: Sequence[Study], theirs: Sequence[Study]) -> tuple[list[Study], list[Study]]:
    """Those studies of each whose patients the other evaluated too."""
    both = {study.patient for study in ours} & {study.patient for study in theirs}
    kept = [[study for study in side if study.patient in both] for side in (ours, theirs)]
    return kept[0], kept[1]


def to_json(made: Outcome) -> dict[str, Any]:
    """Extend `evaluate`'s contract by pooled figures and folds, and set the baseline beside."""
    first, *others = made.networks
    report = _of(made, first) | {"config": made.config.to_json(), "operating": OPERATING}
    report |= {other.architecture: _of(made, other) for other in others}
    if "gain" in made.clinical:
        gains = {"clinical": _plain(made.clinical["gain"]), "paper": _plain(made.paper["gain"])}
        report["gain"] = gains
    return report


def _of(made: Outcome, network: Network) -> dict[str, Any]:
    kind = network.architecture
    return evaluate(network.studies, f"{made.config.name}-{kind}-crossval", "") | {
        "pooled": {
            "clinical": _plain(made.clinical[kind]),
            "paper": _plain(made.paper[kind]),
        },
        "expected": {
            name: {kind: asdict(found) for kind, found in kinds.items()}
            for name, kinds in network.expected.items()
        },
        "perturbed": perturbed(network.compared),
        "folds": [
            {"fold": number, "patients": [study.patient for study in fold.studies]}
            | clinical(fold.studies)
            | paper(fold.studies)
            for number, fold in network.folds.items()
        ],
    }


def _plain(figures: Mapping[str, Measured]) -> dict[str, Any]:
    return {name: asdict(figure) for name, figure in figures.items()}


def sections(made: Outcome, gallery: Gallery) -> list[Section]:
    """One section a protocol, one with the folds, and one with the first network's patients."""
    pooled = [
        Section(
            f"{protocol.capitalize()} protocol",
            tables=(_pooled(made, protocol, words, columns),),
        )
        for protocol, words, columns in (
            ("clinical", CLINICAL, made.clinical),
            ("paper", PAPER, made.paper),
        )
    ]
    types = tuple(outlined_types(outlined(n.studies), NAMES[n.architecture]) for n in made.networks)
    told = Section("Types of what is outlined", tables=types)
    first = made.networks[0]
    by_fold = Section("Fold by fold", tables=tuple(_by_fold(n) for n in made.networks))
    changed = [robustness.section(first.compared)] if first.compared[0].changed else []
    hundred = Section("The next hundred", tables=(hundred_more(first),))
    return [*pooled, told, hundred, *changed, by_fold, _patients(made, gallery)]


def _patients(made: Outcome, gallery: Gallery) -> Section:
    """Every patient, and what is shown of them."""
    studies = made.networks[0].studies
    report = {"clinical": clinical_figures(studies)}
    shown = [
        figures.roc_any(studies),
        figures.reliability(report),
        figures.volumes(studies),
        *(figures.masks(name, example) for name, example in gallery.examples.items()),
        *([figures.worst(gallery.worst)] if gallery.worst else []),
    ]
    return Section("Patient by patient", tables=(by_patient(studies),), figures=tuple(shown))


def behind(networks: Sequence[Network]) -> str:
    """Say how much stands behind the figures of each network."""
    return "".join(
        f" {NAMES[network.architecture]}: {counted(patients_of(network.studies))},"
        f" {sum(len(study.types) for study in network.studies)} slices,"
        f" finished folds {', '.join(map(str, network.folds))}."
        for network in networks
    )


def behind_types(made: Outcome) -> str:
    """Say how many patients stand behind each type."""
    counts = ((name, with_type(made.networks[0].studies, i)) for i, name in enumerate(CLASSES))
    return " Patients: " + ", ".join(f"{name} {count}" for name, count in counts) + "."


def _pooled(
    made: Outcome,
    protocol: str,
    words: Mapping[str, str],
    columns: Mapping[str, Mapping[str, Measured]],
) -> Table:
    heads = [NAMES.get(name, "gain of MUNet") for name in columns]
    rows = [
        (label, *(_cell(column, name) for column in columns.values()))
        for name, label in words.items()
    ]
    stand = behind_types(made) if protocol == "paper" else behind(made.networks)
    note = PROTOCOLS[protocol] + INTERVALS + stand
    return Table("All finished folds together", ("figure", *heads), tuple(rows), note)


def _cell(column: Mapping[str, Measured], name: str) -> str:
    if name not in column:
        return "no patient in common"
    return shown(column[name].value, column[name].ci95)


def hundred_more(network: Network) -> Table:
    """Set out what each operating point lets expect, and where its thresholds come from."""
    rows = [
        (name, kind, f"{found.right} of {found.cases}", f"{found.median} ({low} to {high})")
        for name, kinds in network.expected.items()
        for kind, found in kinds.items()
        for low, high in [found.ci95]
    ]
    head = ("operating point", "by study", "here", f"of the next {NEXT}")
    note = (CHOSEN_NOTE if len(network.folds) > 1 else FIXED_NOTE) + NEXT_NOTE
    return Table("What to expect of patients like these", head, tuple(rows), note)


def _by_fold(network: Network) -> Table:
    names = ("any_dice", "any_dice_by_slice", "slice_auc", "study_auc")
    rows = [
        (str(number), str(len(fold.studies)), *(shown(clinical(fold.studies)[n]) for n in names))
        for number, fold in network.folds.items()
    ]
    heads = ("fold", "patients", *(CLINICAL[name].removeprefix("any bleed, ") for name in names))
    return Table(NAMES[network.architecture], heads, tuple(rows), PROTOCOLS["clinical"])
