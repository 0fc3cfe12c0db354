"""A dry run: what would be chosen of a folder, and that it leaves nothing behind."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner

from receiver.__main__ import app
from receiver.selection.dry_run import try_folder
from receiver.selection.dry_run_text import describe
from receiver.selection.pixel_look import PixelLook, look_with_worker
from receiver.selection.rules import load_rules
from tests.support.phantoms import HEAD_MM, Phantom
from tests.support.series import STUDY, datasets, write

AXIAL = "ORIGINAL\\PRIMARY\\AXIAL"
ROWS = (
    {"desc": "Head bone", "kernel": "H70h", "type": AXIAL},
    {"desc": "Head 5.0", "kernel": "H31s", "type": AXIAL},
    {"desc": "Head 2.0", "kernel": "H31s", "type": AXIAL, "step_mm": 2.0, "count": 60},
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number, row in enumerate(ROWS, 1):
        write(datasets(row, number), tmp_path / "study" / f"deep {number}")
    (tmp_path / "study" / "notes.txt").write_text("not DICOM", "utf-8")
    write(datasets(ROWS[1], 2)[:1], tmp_path / "study" / "copy")
    return tmp_path / "study"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TRIAGE_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


def test_the_best_series_is_chosen_and_every_other_has_its_reason(folder: Path) -> None:
    tried = try_folder(folder, load_rules())
    (study,) = tried.studies
    assert [(series.description, series.chosen) for series in study.series] == [
        ("Head 5.0", True),
        ("Head 2.0", False),
        ("Head bone", False),
    ]
    assert study.series[2].reason == "sharp kernel H70h"
    assert tried.unreadable == 1


def test_a_copy_of_a_file_counts_once(folder: Path) -> None:
    assert try_folder(folder, load_rules()).studies[0].series[0].objects == 32


def test_progress_is_told_after_each_file(folder: Path) -> None:
    told: list[int] = []
    try_folder(folder, load_rules(), told.append)
    assert told == list(range(1, len(told) + 1))


def test_the_chosen_series_has_a_star(folder: Path) -> None:
    text = describe(try_folder(folder, load_rules()))
    assert [line for line in text.splitlines() if line.startswith("*")] == [
        "* 77.32  Head 5.0 (CT, 32 objects)"
    ]


def test_where_the_images_refuse_the_best_series_the_next_one_gets_the_star(folder: Path) -> None:
    looked: list[int] = []

    def look_at(paths: Sequence[Path]) -> PixelLook:
        looked.append(len(paths))
        return PixelLook("" if len(looked) > 1 else "as in lungs", (), {}, {"share": 1.0})

    tried = try_folder(folder, load_rules(), look_at=look_at)
    assert [series.chosen for series in tried.studies[0].series] == [False, True, False]
    assert looked == [32, 60]
    text = describe(tried)
    assert "images: not analysed: as in lungs" in text
    assert "images: a plain head, 100% of it seen" in text
    assert "were looked at as a worker" in text


def test_without_a_worker_the_dry_run_says_that_no_image_was_looked_at(folder: Path) -> None:
    assert "The images were not looked at" in describe(try_folder(folder, load_rules()))


def test_a_worker_beside_the_receiver_looks_at_the_images(tmp_path: Path) -> None:
    head = Phantom(HEAD_MM, size=128, spacing_mm=1.2, skull=True).write(tmp_path / "head")
    water = Phantom(HEAD_MM, size=128, spacing_mm=1.2).write(tmp_path / "water")
    seen, refused = look_with_worker(head), look_with_worker(water)
    assert seen is not None
    assert str(seen).startswith("a plain head, 100% of it seen")
    assert refused is not None
    assert "no closed skull with brain inside" in refused.refusal


def test_a_worker_that_does_not_start_is_no_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("receiver.selection.pixel_look.WORKER", "worker.not_there")
    assert look_with_worker([tmp_path]) is None


def test_an_empty_folder_says_so(tmp_path: Path) -> None:
    assert "No DICOM object found." in describe(try_folder(tmp_path, load_rules()))


def test_the_verb_prints_json_and_stores_nothing(folder: Path, home: Path) -> None:
    result = CliRunner().invoke(app, ["dry-run", str(folder), "--json"])
    assert result.exit_code == 0
    assert json.loads(result.stdout)["studies"][0]["study_instance_uid"] == STUDY
    assert not home.exists()


def test_the_verb_names_what_is_wrong_with_the_rules(
    folder: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.toml").write_text('version = "9"', "utf-8")
    monkeypatch.setenv("TRIAGE_SELECTION", str(tmp_path / "mine.toml"))
    result = CliRunner().invoke(app, ["dry-run", str(folder)])
    assert result.exit_code == 2
    assert "mine.toml: image_types: is missing" in result.stderr


def test_force_names_a_study_that_never_came(home: Path) -> None:
    result = CliRunner().invoke(app, ["force", "1.2.3"])
    assert result.exit_code == 1
    assert "no study 1.2.3 was received" in result.stderr
