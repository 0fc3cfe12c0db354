"""Commands as a person starts them, in a process of their own, on a tiny release."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.ctich import TINY, make, make_nifti
from tests.support.deadline import DEADLINE_S

pytestmark = pytest.mark.slow  # trains

ROOT = Path(__file__).parents[2]
LAUNCHER = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
PATIENTS = {49: ("EDH",), 50: (), 51: ("SDH",), 52: ("EDH",), 53: ()}
MORE = {number: ("IPH",) if number < 28 else () for number in range(20, 38)}  # for thresholds
HELD = [*MORE, 49, 50, 51]


def start(*arguments, launcher=("-m", "trainer")):
    command = [sys.executable, *launcher, *map(str, arguments)]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=DEADLINE_S
    )


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A release, a run that all but two were held out of, and its checkpoint."""
    home = tmp_path_factory.mktemp("cli")
    make(home / "data", PATIENTS | MORE)
    (home / "tiny.toml").write_text(TINY)
    data = ["--data", home / "data", "--cache", home / "cache", "--run", home / "run"]
    for command in (
        ["fit", *data, "--preset", home / "tiny.toml", "--held-out", ",".join(map(str, HELD))],
        ["export", *data[:2], *data[4:], "--out", home / "model.safetensors"],
    ):
        done = start(*command)
        assert done.returncode == 0, done.stdout + done.stderr
    return home


def test_prepare_prints_what_is_there_and_names_what_is_wrong(tmp_path):
    make(tmp_path / "data", PATIENTS)
    (tmp_path / "data" / "Patients_CT" / "049" / "brain" / "2_HGE_Seg.jpg").unlink()
    done = start("prepare", "--data", tmp_path / "data", "--cache", tmp_path / "cache")
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"EDH +│ 2 +│ 2 ", done.stdout)
    assert "2_HGE_Seg.jpg: missing, yet the table says hemorrhage" in done.stdout
    assert list((tmp_path / "cache").glob("*.npz"))


def test_prepare_reads_nifti_too(tmp_path):
    make_nifti(tmp_path / "data", PATIENTS)
    done = start("prepare", "--data", tmp_path / "data", "--cache", tmp_path / "cache")
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"all +│ 5 +│ 15 ", done.stdout)


def test_smote_counts_draws_and_states_its_peak(home, tmp_path):
    preset = tmp_path / "smote.toml"
    preset.write_text(TINY + "\n[smote]\nEDH = 6\nneighbours = 1\n")
    where = ["--data", home / "data", "--cache", home / "cache", "--out", tmp_path / "sheet.png"]
    done = start("smote", *where, "--preset", preset)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"EDH +│ 2 +│ 4 ", done.stdout)
    assert re.search(r"[\d.]+ GiB at the peak of this process", done.stdout)
    assert (tmp_path / "sheet.png").read_bytes().startswith(b"\x89PNG")


def test_bleeds_are_not_drawn_into_what_is_no_head(home, tmp_path):
    where = ["--data", home / "data", "--cache", home / "cache", "--out", tmp_path / "sheet.png"]
    done = start("synthetic", *where, "--preset", home / "tiny.toml")
    assert done.returncode == 2, done.stdout + done.stderr
    assert "no slice has a closed skull" in done.stdout
    assert not (tmp_path / "sheet.png").exists()


def test_a_patient_who_is_not_there_can_not_be_held_out(home, tmp_path):
    where = ["--data", home / "data", "--cache", home / "cache", "--run", tmp_path / "run"]
    done = start("fit", *where, "--preset", home / "tiny.toml", "--held-out", "999")
    assert done.returncode == 2, done.stdout + done.stderr
    assert "patients [999] are not in these data" in done.stdout
    assert not (tmp_path / "run").exists()


def test_fit_draws_its_curves_and_holds_the_named_out(home):
    assert {p.name for p in (home / "run" / "figures").iterdir()} == {
        "figure-07.png",
        "figure-08.png",
    }
    assert list((home / "run" / "tensorboard").iterdir())
    assert json.loads((home / "run" / "run.json").read_text())["validation"] == HELD


def test_evaluate_writes_the_contract_and_a_report_that_needs_nothing_beside_it(home, tmp_path):
    done = start(
        *("evaluate", "--data", home / "data", "--model", home / "model.safetensors"),
        *("--split", "paper-test", "--json", tmp_path / "e.json", "--html", tmp_path / "e.html"),
        *("--prevalence", "0.3"),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads((tmp_path / "e.json").read_text())
    assert (figures["patients"], figures["trained_on"]) == ([49, 50, 51], [])
    assert figures["chosen_on"] == [49, 50, 51]  # `export` chose its thresholds there
    assert figures["segmentation"]["SAH"]["dice"] is None
    assert figures["clinical"]["predictive"][0]["prevalence"] == 0.3
    page = (tmp_path / "e.html").read_text()
    assert not re.search(r"https?:|<link|<script|@import", page)
    names = {p.stem for p in (tmp_path / "e-figures").iterdir()}
    assert names >= {"figure-09", "figure-13", "figure-14", "figure-15", "figure-16", "figure-17"}


def test_a_figure_from_training_patients_says_so(home, tmp_path):
    done = start(
        *("evaluate", "--data", home / "data", "--model", home / "model.safetensors"),
        *("--patients", "52", "--json", tmp_path / "e.json", "--html", tmp_path / "e.html"),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads((tmp_path / "e.json").read_text())["trained_on"] == [52]
    assert "Not a test" in (tmp_path / "e.html").read_text()


def test_two_processes_of_the_launcher_train_one_run(home, tmp_path):
    launcher = [*LAUNCHER, "-m", "--", "trainer"]
    done = start(
        *("fit", "--data", home / "data", "--cache", tmp_path / "cache"),
        *("--run", tmp_path / "run", "--preset", home / "tiny.toml", "--held-out", "49"),
        launcher=launcher,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "run" / "state.pt").exists()
    assert done.stdout.count("epoch 1/1") == 1
