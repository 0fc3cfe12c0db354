import io
import json
from dataclasses import replace

import pytest
import torch
from rich.console import Console
from typer.testing import CliRunner

from tests.support.ctich import TINY, make
from tests.support.studies import study
from trainer.cli import app
from trainer.config import ConfigError, load_config
from trainer.datasets.cache import prepare
from trainer.datasets.sources import read_release
from trainer.datasets.splits import LeakError, SplitError
from trainer.evaluation.gallery import Gallery
from trainer.experiments import crossval as crossval_module
from trainer.experiments.crossval import Judged, Network, Which, crossval, learning, plan
from trainer.experiments.crossval_report import hundred_more, outcome, sections, to_json
from trainer.experiments.unseen import Reading
from trainer.training.run import averaged, baseline, describe, described

pytestmark = pytest.mark.slow  # trains

PATIENTS = {1: ("EDH",), 2: (), 3: ("EDH",), 4: (), 5: ("SDH",), 6: ()}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("crossval")


@pytest.fixture(scope="module")
def config(home):
    (home / "tiny.toml").write_text(TINY)
    return load_config(str(home / "tiny.toml"))


@pytest.fixture(scope="module")
def release(home):
    return read_release(make(home / "data", PATIENTS))


@pytest.fixture(scope="module")
def prepared(home, release, config):
    return prepare(release, config.preprocessing, home / "cache")


@pytest.fixture(scope="module")
def gallery(config):
    return Gallery(config.preprocessing)


@pytest.fixture(scope="module")
def networks(home, release, config, prepared, gallery):
    configs = [config, baseline(config)]
    which = Which(home / "run", 2)
    return crossval(configs, prepared, release, which, quiet(), see=gallery.see)


@pytest.fixture(scope="module")
def made(config, networks):
    return outcome(config, networks)


def quiet():
    return Console(file=io.StringIO())


def test_every_patient_is_judged_once_by_either_network(networks):
    assert [[s.patient for s in network.studies] for network in networks] == [
        [1, 2, 3, 4, 5, 6]
    ] * 2


def test_the_loop_never_gets_to_know_the_patients_of_its_fold(config, prepared, tmp_path):
    for fold in plan(config, prepared, Which(tmp_path, 2)):
        known = learning(fold, prepared)
        assert set(known.train) == set(fold.split.train)
        assert known.validation == ()


def test_a_run_of_another_seed_has_the_same_folds_until_another_cut_is_asked_for(
    config, prepared, tmp_path
):
    def held(config, **asked):
        planned = plan(config, prepared, Which(tmp_path, 2, **asked))
        return [fold.split.validation for fold in planned]

    again = replace(config, seed=1)
    assert held(again) == held(config)
    assert len({tuple(held(again, cut=cut)) for cut in range(4)}) > 1


def test_a_plateau_is_watched_on_training_patients(config, prepared, tmp_path):
    plateau = replace(config, optimiser=replace(config.optimiser, schedule="plateau"))
    for fold in plan(plateau, prepared, Which(tmp_path, 2)):
        known = learning(fold, prepared)
        assert known.validation
        assert {*known.train, *known.validation} == set(fold.split.train)


def test_thresholds_of_a_fold_come_from_the_other_folds(
    networks, home, config, prepared, release, monkeypatch
):
    chosen_on = []
    real = crossval_module.chosen

    def spy(unseen, reading):
        chosen_on.append([patient.patient for patient in unseen])
        return real(unseen, reading)

    monkeypatch.setattr(crossval_module, "chosen", spy)
    planned = plan(config, prepared, Which(home / "run", 2))
    crossval_module.evaluated(planned, (), release, Reading(config.preprocessing))
    assert [sorted(patients) for patients in chosen_on] == [
        sorted(fold.split.train) for fold in planned
    ]


def test_folds_are_trained_one_by_one_and_pooled_when_they_are_done(
    config, prepared, release, tmp_path
):
    first = crossval([config], prepared, release, Which(tmp_path, 2, (0,)), quiet())
    then = crossval([config], prepared, release, Which(tmp_path, 2, (1,)), quiet())
    assert [list(one.folds) for one in (*first, *then)] == [[0], [0, 1]]


def test_a_fold_that_does_not_exist_is_refused(config, prepared, release, tmp_path):
    with pytest.raises(SplitError, match=r"\[7\]"):
        crossval([config], prepared, release, Which(tmp_path, 2, (7,)), quiet())


@pytest.mark.parametrize("numbers", [(), (2,)])
def test_folds_of_another_cut_are_never_taken_for_this_ones(
    networks, home, config, prepared, release, numbers
):
    records = {path: path.read_text() for path in (home / "run").glob("*/run.json")}
    with pytest.raises(LeakError, match="fold-0: holds a run that knows other patients"):
        crossval([config], prepared, release, Which(home / "run", 3, numbers), quiet())
    assert {path: path.read_text() for path in (home / "run").glob("*/run.json")} == records


def test_folds_of_other_settings_are_not_pooled(networks, home, config, prepared, release):
    other = replace(config, loss=replace(config.loss, gamma=1.0))
    with pytest.raises(ConfigError, match="fold-0: holds a run with other settings"):
        crossval([other], prepared, release, Which(home / "run", 2, (1,)), quiet())


def test_a_fold_that_was_stopped_before_its_patients_were_noted_counts(
    networks, home, config, prepared
):
    for fold in plan(config, prepared, Which(home / "run", 2)):
        describe(fold.place, fold.config, learning(fold, prepared))
        assert fold.finished
        describe(fold.place, fold.config, fold.split)


def test_the_report_sets_the_baseline_beside_and_states_the_gain(made):
    figures = to_json(made)
    gained = figures["gain"]["clinical"]["slice_auc"]["value"]
    ours = figures["pooled"]["clinical"]["slice_auc"]["value"]
    theirs = figures["unet"]["pooled"]["clinical"]["slice_auc"]["value"]
    assert gained == pytest.approx(ours - theirs)


def test_the_worst_slices_shown_are_those_of_the_first_network(networks, gallery):
    wrong = {
        study.patient: int(
            (study.truth_px[:, -1] + study.found_px[:, -1] - 2 * study.both_px[:, -1]).max()
        )
        for study in networks[0].studies
    }
    shown = {example.patient: example.wrong_px for example in gallery.worst}
    assert shown == {patient: count for patient, count in wrong.items() if count}


def test_every_patient_of_the_first_network_has_a_line(made, gallery):
    patients = sections(made, gallery)[-1]
    assert {row[0] for row in patients.tables[0].rows} == {"1", "2", "3", "4", "5", "6"}
    names = [figure.name for figure in patients.figures]
    assert "worst-cases" in names
    assert "figure-14" in names  # EDH, of patient 1 or 3


def test_what_stands_behind_the_clinical_figures_is_named(made, gallery):
    note = sections(made, gallery)[0].tables[0].note
    assert "MUNet: 6 patients, 18 slices, finished folds 0, 1." in note
    assert "plain U-Net of the same budget: 6 patients, 18 slices" in note


@pytest.mark.parametrize(
    ("count", "words"), [(1, "fixed beforehand"), (2, "thresholds chosen on the others")]
)
def test_the_next_hundred_says_where_its_thresholds_come_from(count, words):
    judged = Judged([study(1, ["EDH"], [9], [9], [9], [0.9])], [], {"balanced": [True]})
    note = hundred_more(Network("munet", dict.fromkeys(range(count), judged))).note
    assert words in note
    assert ("chosen" in note) == (count > 1)


def test_no_table_mixes_the_protocols(made, gallery):
    clinical, paper, *_ = sections(made, gallery)
    assert all("any bleed" in row[0] for row in clinical.tables[0].rows)
    assert not any("any bleed" in row[0] for row in paper.tables[0].rows)


def test_one_command_writes_json_and_html(home, release):
    command = ["crossval", "--data", str(home / "data"), "--cache", str(home / "cache")]
    command += ["--run", str(home / "run"), "--preset", str(home / "tiny.toml"), "--count", "2"]
    done = CliRunner().invoke(app, command)  # the folds are there already
    assert done.exit_code == 0, done.output
    figures = json.loads((home / "run" / "crossval.json").read_text())
    assert figures["patients"] == [1, 2, 3, 4, 5, 6]
    assert figures["segmentation"]["SAH"]["dice"] is None
    assert "not measurable" in (home / "run" / "crossval.html").read_text()


@pytest.fixture(scope="module")
def without(home, networks):
    """The command on data that hold two more, who are left out, and what it said."""
    make(home / "more", PATIENTS | {7: ("EDH",), 8: ()})
    command = ["crossval", "--data", str(home / "more"), "--cache", str(home / "more-cache")]
    command += ["--run", str(home / "without"), "--preset", str(home / "tiny.toml"), "--count", "2"]
    done = CliRunner().invoke(app, [*command, "--without", "7,8"])
    assert done.exit_code == 0, done.output
    return command


def test_who_is_left_out_is_in_no_fold_and_on_record(without, home):
    assert json.loads((home / "without" / "crossval.json").read_text())["without"] == [7, 8]
    for number in range(2):
        record = json.loads((home / "without" / f"fold-{number}" / "run.json").read_text())
        assert sorted(record["train"] + record["validation"]) == [1, 2, 3, 4, 5, 6]
        assert record["without"] == [7, 8]


def test_data_that_never_had_them_give_the_same_networks(without, home):
    for number in range(2):
        (config, split), (_, other) = (
            described(home / run / f"fold-{number}") for run in ("run", "without")
        )
        assert split == other
        first, again = (
            averaged(config, home / run / f"fold-{number}").network.state_dict()
            for run in ("run", "without")
        )
        assert all(torch.equal(first[name], again[name]) for name in first)


@pytest.mark.parametrize("other", [[], ["--without", "7"], ["--without", "6,7,8"]])
def test_a_run_that_left_others_out_is_refused_and_says_whom(without, other):
    done = CliRunner().invoke(app, [*without, *other])
    assert done.exit_code == 2
    assert "knows other patients" in done.output
    assert "--without 7,8" in done.output


def test_who_is_left_out_must_be_here(without):
    done = CliRunner().invoke(app, [*without, "--without", "7,8,9"])
    assert done.exit_code == 2
    assert "patients [9] are not in these data" in done.output
