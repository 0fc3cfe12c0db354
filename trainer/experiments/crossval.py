"""Cross-validation by patient: the figure that decides.

Every patient is evaluated by a network that never saw them: not in training, not for the learning
rate, not for early stopping. Calibration and thresholds of a fold come from the other folds'
patients, who are all in the fold's training part, each of them answered for by the network of
their own fold, which never saw them either. So nothing at an operating point is chosen on the
patients it is measured on; how scores are combined, SCORING, was chosen once on all of them. While
one fold alone has finished there are no such patients: it is evaluated without calibration at the
plain thresholds of `OperatingPoint`, fixed beforehand.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from trainer.config import RunConfig
from trainer.datasets.cache import Prepared
from trainer.datasets.people import rows_of_people
from trainer.datasets.sources import Release
from trainer.datasets.splits import Split, SplitError, folds, inner
from trainer.evaluation.expected import Expected, next_hundred
from trainer.evaluation.operating import POINTS
from trainer.evaluation.perturb import Answer, Outcomes, read_head
from trainer.evaluation.seen import Copy
from trainer.evaluation.studies import See, Study, look_away, patients_of, study_of
from trainer.experiments.begin import going_on
from trainer.experiments.recipes import folds_in, together
from trainer.experiments.unseen import FIXED, Choice, Fold, Reading, Unseen, answers, chosen
from trainer.training.fit import fit
from trainer.training.run import describe
from worker.munet.card import OperatingPoint, Scoring
from worker.munet.inference import calibrate, read, study_logits, teller
from worker.munet.preprocessing import Projection


@dataclass(frozen=True)
class Judged:
    """The patients of one fold.

    Attributes
    ----------
    studies, compared
        What is there and what was found, and whether changes turn it, at the balanced point.
    called
        Whether each operating point, chosen on the other folds' patients, calls each of them.
    """

    studies: Sequence[Study]
    compared: Sequence[Outcomes]
    called: Mapping[str, Sequence[bool]]


@dataclass(frozen=True)
class Network:
    """What one architecture's finished folds said."""

    architecture: str
    folds: Mapping[int, Judged]

    @property
    def studies(self) -> list[Study]:
        """Every evaluated patient, rising."""
        every = (study for fold in self.folds.values() for study in fold.studies)
        return sorted(every, key=lambda study: study.patient)

    @property
    def expected(self) -> dict[str, dict[str, Expected]]:
        """What each operating point lets expect of the next patients."""
        parts = list(self.folds.values())
        studies = [study for part in parts for study in part.studies]
        # Scans of one person are no independent cases: the first speaks for them.
        first = [rows[0] for rows in rows_of_people(patients_of(studies))]
        names = [name for name in POINTS if all(name in part.called for part in parts)]
        every = {name: [c for part in parts for c in part.called[name]] for name in names}
        called = {name: [calls[row] for row in first] for name, calls in every.items()}
        return next_hundred([studies[row].bleeds for row in first], called)

    @property
    def compared(self) -> list[Outcomes]:
        """Every evaluated patient's outcomes, rising."""
        every = (outcomes for fold in self.folds.values() for outcomes in fold.compared)
        return sorted(every, key=lambda outcomes: outcomes.patient)


@dataclass(frozen=True)
class Which:
    """How many folds there are, which of them to train now (all when none is named), and where.

    `before` is the folder of a finished cross-validation whose networks they begin with, fold by
    fold. `others` are those of finished ones of other recipes whose networks answer with these.
    `cut` is the seed of the folds alone, so that runs of several seeds share them. The prepared
    slices are `without` those patients, which the runs write down.
    """

    folder: Path
    count: int = 5
    numbers: tuple[int, ...] = ()
    before: Path | None = None
    others: tuple[Path, ...] = ()
    cut: int = 0
    without: tuple[int, ...] = ()


def crossval(
    configs: Sequence[RunConfig],
    prepared: Prepared,
    release: Release,
    which: Which,
    console: Console,
    reading: Reading | None = None,
    see: See = look_away,
) -> list[Network]:
    """Train folds of each configuration, and evaluate all that have finished in the folder.

    Parameters
    ----------
    configs
        One for each architecture, all of one preprocessing.
    which
        A second call goes on after a kill, or adds folds to those that are there.
    reading
        How the networks are fed when they are evaluated; as they were trained, if not given.
    see
        Gets each patient's slices, HU and what the first architecture made of them.
    """
    for other in which.others:  # this and the folds that are there: before hours of training
        folds_in(other)
    plans = [plan(config, prepared, which) for config in configs]
    for planned in plans:
        done(planned)
    for planned in plans:
        train(planned, which, prepared, console)
    reading = reading or Reading(configs[0].preprocessing)
    looking = (see, *[look_away] * (len(configs) - 1))
    return [
        Network(config.architecture, evaluated(planned, which.others, release, reading, looks))
        for config, planned, looks in zip(configs, plans, looking, strict=True)
    ]


def plan(config: RunConfig, prepared: Prepared, which: Which) -> list[Fold]:
    """Say which patients each run is evaluated on, and where it is kept."""
    prefix = "" if config.architecture == "munet" else f"{config.architecture}-"
    splits = folds(prepared, which.count, which.cut)
    return [
        Fold(
            number,
            replace(split, without=which.without),
            replace(config, name=f"{config.name}-fold-{number}"),
            which.folder / f"{prefix}fold-{number}",
        )
        for number, split in enumerate(splits)
    ]


def train(planned: Sequence[Fold], which: Which, prepared: Prepared, console: Console) -> None:
    """Train the folds that are named (all when none is), each from where it stands.

    Raises
    ------
    SplitError
        There is no fold of such a number.
    """
    unknown = sorted(set(which.numbers) - {fold.number for fold in planned})
    if unknown:
        raise SplitError(f"folds {unknown} are not among 0 to {len(planned) - 1}")
    for fold in planned:
        if not which.numbers or fold.number in which.numbers:
            config, weights = fold.config, None
            if which.before:
                before = which.before / fold.place.name
                config, weights = going_on(config, fold.split, before)
            split = learning(fold, prepared)
            fit(config, prepared, split, fold.place, console, begin=weights)
            describe(fold.place, config, fold.split)


def learning(fold: Fold, prepared: Prepared) -> Split:
    """Split a fold's training patients for the loop, which never gets to know the others.

    A rate that halves on a plateau, or an early stop, needs patients to watch, so a fifth of the
    training part is kept for that; a whole cosine needs none.
    """
    known = replace(fold.split, validation=())
    if fold.config.optimiser.watches:
        known = inner(prepared, fold.split, fold.config.seed)
    return replace(known, without=fold.split.without)


def done(planned: Sequence[Fold]) -> list[Fold]:
    """Return the folds that have finished.

    Raises
    ------
    ConfigError, LeakError
        A fold's place holds another run.
    """
    return [fold for fold in planned if fold.finished]


def evaluated(
    planned: Sequence[Fold],
    others: Sequence[Path],
    release: Release,
    reading: Reading,
    see: See = look_away,
) -> dict[int, Judged]:
    """Evaluate the patients of all folds that have finished, by the fold's number."""
    asked = together(done(planned), others)
    unseen = {fold.number: list(answers(fold, release, reading)) for fold in asked}
    return judged(unseen, release, reading, see)


def judged(
    unseen: Mapping[int, Sequence[Unseen]],
    release: Release,
    reading: Reading,
    see: See = look_away,
) -> dict[int, Judged]:
    """Judge each fold's patients by what the other folds' patients have chosen."""
    found = {}
    for number, patients in unseen.items():
        others = [patient for other in unseen if other != number for patient in unseen[other]]
        choice = chosen(others, reading) if others else FIXED
        found[number] = judge(patients, release, reading, choice, see)
    return found


def judge(
    unseen: Sequence[Unseen],
    release: Release,
    reading: Reading,
    choice: Choice,
    see: See = look_away,
) -> Judged:
    """Read raw answers as the worker would, on the source grid, and hold changed ones beside."""
    scoring, balanced = choice.scoring, choice.points["balanced"]
    return Judged(
        [studied(patient, release, reading, choice, see) for patient in unseen],
        [compared(patient, scoring, balanced) for patient in unseen],
        {
            name: [compared(patient, scoring, point).unchanged.called for patient in unseen]
            for name, point in choice.points.items()
        },
    )


def studied(
    patient: Unseen, release: Release, reading: Reading, choice: Choice, see: See = look_away
) -> Study:
    """Set what is read from one patient's answer against what is there."""
    slices, preprocessing = release.of(patient.patient), reading.preprocessing
    head = read_head(slices)
    laid = preprocessing.slabs(*head.series)
    rows, columns = head.hu.shape[1:]
    back = Projection(preprocessing.box(laid.hu), laid.nearest, (rows, columns))
    point, tell = choice.points["balanced"], teller(choice.types, patient.seen.pictures)
    found = read(patient.seen.maps, choice.scoring, point, back, tell)
    see(slices, head.hu, found)
    return study_of(slices, found, point)


def compared(patient: Unseen, scoring: Scoring, point: OperatingPoint) -> Outcomes:
    """Read one head's scores, unchanged and changed."""

    def answer(copy: Copy) -> Answer:
        probability = float(calibrate(study_logits(copy.maps, scoring), scoring.study)[-1])
        return Answer(probability, probability >= point.study_any)

    changed = {name: answer(copy) for name, copy in patient.changed.items()}
    head = patient.seen.copy()
    return Outcomes(patient.patient, bool(head.truth[-1]), answer(head), changed)
