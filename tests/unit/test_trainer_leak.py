import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from tests.support.ctich import TINY, make
from trainer.cli import app
from trainer.config import ConfigError, RunConfig
from trainer.datasets.cache import Prepared
from trainer.datasets.splits import LeakError, by_slice, folds, held_patients
from trainer.experiments.crossval import Which
from trainer.experiments.export import finished
from trainer.experiments.leak import leak, plan, with_blood
from worker.munet.preprocessing import Preprocessing

PATIENTS = {number: ("EDH",) if number % 2 else ("IPH",) for number in range(1, 9)}


def prepared(slices=4):
    """Slices of eight patients: two kinds of blood in three of four."""
    patients = np.repeat(list(PATIENTS), slices)
    types = np.zeros((len(patients), 5), np.bool_)
    types[np.arange(len(patients)), patients % 2] = np.arange(len(patients)) % slices > 0
    empty = np.zeros((len(patients), 8, 8))
    layout = np.repeat(np.arange(len(patients))[:, None], 3, axis=1)
    numbers = np.tile(np.arange(slices), len(PATIENTS))
    return Prepared(patients, numbers, types, empty.astype(np.uint8), empty > 0, layout)


def test_twins_learn_from_and_are_measured_on_as_many_slices_of_each_kind(tmp_path):
    bleeding = with_blood(prepared())
    for honest, leaking in plan(RunConfig("x"), bleeding, Which(tmp_path, 2)):
        for rows in ("train", "test"):
            sides = [
                twin.test if rows == "test" else twin.split.rows(bleeding)
                for twin in (honest, leaking)
            ]
            counts = [bleeding.types[side].sum(axis=0).tolist() for side in sides]
            assert counts[0] == counts[1]


def test_twins_of_another_seed_are_split_alike(tmp_path):
    bleeding = with_blood(prepared())
    first, again = (
        [[twin.split for twin in pair] for pair in plan(config, bleeding, Which(tmp_path, 2))]
        for config in (RunConfig("x"), RunConfig("x", seed=1))
    )
    assert first == again


def test_either_twin_says_who_was_left_out_of_both(tmp_path):
    which = Which(tmp_path, 2, without=(9,))
    pairs = plan(RunConfig("x"), with_blood(prepared()), which)
    assert {twin.split.without for pair in pairs for twin in pair} == {(9,)}


def test_only_the_leaking_twin_has_patients_on_both_sides(tmp_path):
    bleeding = with_blood(prepared())
    for twins in plan(RunConfig("x"), bleeding, Which(tmp_path, 2)):
        both = [
            set(bleeding.patients[twin.split.rows(bleeding)]) & set(bleeding.patients[twin.test])
            for twin in twins
        ]
        assert not both[0]
        assert both[1]


def test_no_slice_is_learned_from_and_measured_even_when_split_by_slice():
    bleeding = with_blood(prepared())
    for split in by_slice(bleeding, folds(bleeding, 2, 0), 0):
        assert sorted(split.train + split.test) == list(range(len(bleeding)))


def test_a_split_by_slice_is_to_be_had_nowhere_else():
    with pytest.raises(LeakError, match="trainer leak"):
        held_patients((), "by-slice")


def test_neighbours_would_leak_twice_and_are_refused(tmp_path):
    config = RunConfig("x", preprocessing=Preprocessing(channels="neighbours"))
    with pytest.raises(ConfigError, match="gray"):
        leak(config, prepared(), Which(tmp_path, 2), None)


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """Both twins of two folds, trained by the command."""
    folder = tmp_path_factory.mktemp("leak")
    make(folder / "data", PATIENTS | {9: ("EDH",)})
    (folder / "tiny.toml").write_text(TINY.replace("size = 64", "size = 64\nchannels = 'gray'"))
    command = ["leak", "--data", str(folder / "data"), "--cache", str(folder / "cache")]
    command += ["--run", str(folder / "run"), "--preset", str(folder / "tiny.toml")]
    command += ["--without", "9"]
    return folder / "run", CliRunner().invoke(app, [*command, "--count", "2"])


def test_console_report_and_folders_say_that_it_leaks(ran):
    run, done = ran
    assert done.exit_code == 0, done.output
    assert done.output.startswith("LEAKING on purpose")
    assert "by slice (LEAKING)" in (run / "LEAKING.html").read_text()
    assert (run / "LEAKING-by-slice-fold-1" / "run.json").read_text().count("LEAKING") > 1


def test_all_folds_together_measure_every_slice_with_blood_on_both_sides(ran):
    figures = json.loads((ran[0] / "LEAKING.json").read_text())
    assert [arm["slices"] for arm in figures["arms"]] == [8, 8]
    assert [arm["patients"] for arm in figures["arms"]] == [list(PATIENTS)] * 2
    for arm in figures["arms"]:
        assert sorted(int(p) for fold in arm["tested"].values() for p in fold) == list(PATIENTS)


def test_the_twin_by_patient_remembers_whom_it_held_out(ran):
    record = json.loads((ran[0] / "by-patient-fold-0" / "run.json").read_text())
    assert sorted(record["train"] + record["validation"]) == list(PATIENTS)
    assert record["validation"]


def test_twins_of_another_cut_are_refused(ran, tmp_path):
    run, _ = ran
    copy = shutil.copytree(run, tmp_path / "copy")
    command = ["leak", "--data", str(run.parent / "data"), "--cache", str(run.parent / "cache")]
    command += ["--run", str(copy), "--preset", str(run.parent / "tiny.toml"), "--count", "3"]
    command += ["--without", "9"]
    done = CliRunner().invoke(app, [*command, "--folds", "2"])
    assert done.exit_code != 0
    assert "knows other patients" in " ".join(done.output.split())


def test_no_checkpoint_is_made_of_a_leaking_run(ran):
    with pytest.raises(LeakError, match="no model is made"):
        finished(ran[0] / "LEAKING-by-slice-fold-0")


def test_a_leaking_run_watches_nobody(tmp_path):
    watching = RunConfig("x", preprocessing=Preprocessing(channels="gray"))
    with pytest.raises(ConfigError, match="by slice nobody is"):
        leak(watching, prepared(), Which(tmp_path, 2), None)


def test_slices_with_blood_keep_their_place_and_spacing():
    whole = prepared()
    at = np.arange(len(whole)) * 2.5
    kept = with_blood(replace(whole, positions_mm=at, pixels_mm=at / 10))
    assert np.array_equal(kept.positions_mm, at[whole.positive])
    assert np.array_equal(kept.pixels_mm, at[whole.positive] / 10)
