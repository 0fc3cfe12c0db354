"""What a network answered is kept beside its run, and forgotten when pictures change."""

import numpy as np
import pytest
from filelock import FileLock, Timeout
from PIL import Image
from torch import nn

from tests.support.ctich import make
from trainer.datasets.sources import read_release
from trainer.experiments import unseen
from trainer.experiments.unseen import Reading, asked
from worker.munet.inference import Maps
from worker.munet.preprocessing import Preprocessing

READING = Reading(Preprocessing(size=64, crop="frame", clip_limit=0.0), ("5 HU more",))


@pytest.fixture
def data(tmp_path):
    return make(tmp_path / "data", {5: ("EDH",), 57: ()})


@pytest.fixture
def ask(tmp_path, data, monkeypatch):
    """Ask about one patient, and return how often the network was run for that."""
    runs: list[int] = []

    def answer(*_: object) -> Maps:
        runs.append(1)
        return Maps(np.arange(3) * 5.0, *(np.zeros((3, 6), np.float32) for _ in range(3)))

    def ask(patient):
        runs.clear()
        asked(nn.Identity(), read_release(data), patient, READING, tmp_path)
        return len(runs)

    monkeypatch.setattr(unseen, "ask", answer)
    return ask


def picture(data, patient):
    return data / "Patients_CT" / f"{patient:03d}" / "brain" / "1.jpg"


def blacken(path):
    Image.new("L", (64, 64)).save(path)


def test_answers_are_kept_by_patient(ask):
    assert [ask(5), ask(57), ask(5), ask(57)] == [2, 2, 0, 0]


def test_two_commands_side_by_side_do_not_ask_about_a_patient_at_once(data, tmp_path, monkeypatch):
    def answer(*_: object) -> Maps:
        with pytest.raises(Timeout), FileLock(tmp_path / "5.lock", timeout=0):
            pass
        return Maps(np.arange(3) * 5.0, *(np.zeros((3, 6), np.float32) for _ in range(3)))

    monkeypatch.setattr(unseen, "ask", answer)
    asked(nn.Identity(), read_release(data), 5, READING, tmp_path)
    with FileLock(tmp_path / "5.lock", timeout=0):
        pass


def test_a_patient_whose_pictures_changed_is_asked_about_anew_and_nobody_else(ask, data):
    ask(5), ask(57)
    blacken(picture(data, 5))
    assert [ask(57), ask(5), ask(5)] == [0, 2, 0]


def test_a_corrected_mask_needs_no_other_answer(ask, data):
    ask(5)
    blacken(picture(data, 5).with_name("2_HGE_Seg.jpg"))
    assert ask(5) == 0


def test_answers_of_older_code_count_and_are_noted_as_of_the_pictures_that_are_there(
    ask, data, tmp_path
):
    ask(5)
    (tmp_path / "5.head").unlink()
    assert ask(5) == 0
    blacken(picture(data, 5))
    assert ask(5) == 2


@pytest.mark.parametrize("noted", [True, False])
def test_answers_of_older_code_on_other_slices_do_not_count(ask, tmp_path, noted):
    ask(5)
    if not noted:
        (tmp_path / "5.head").unlink()
    with np.load(tmp_path / "5.npz") as stored:
        other = {**stored, "slice_position_mm": stored["slice_position_mm"] + 2.5}
    np.savez_compressed(tmp_path / "5.npz", **other)
    assert ask(5) == 2
