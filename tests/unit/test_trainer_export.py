"""Whom a run must have held out before thresholds are chosen on them."""

from dataclasses import replace

import pytest

from tests.support.ctich import make
from trainer.config import ConfigError, RunConfig
from trainer.datasets.slices import DataError
from trainer.datasets.sources import read_release
from trainer.datasets.splits import Split
from trainer.experiments.export import Finished, check_patients, export

HELD = tuple(range(3, 23))


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    """Odd patients bleed, even ones are healthy."""
    patients = {number: ("EDH",) if number % 2 else () for number in range(1, 23)}
    return read_release(make(tmp_path_factory.mktemp("export"), patients, slices=2))


@pytest.mark.parametrize("held", [(), HELD[1:], HELD[:-1]])
def test_too_few_of_a_kind_choose_no_threshold_and_nothing_is_asked_before(release, tmp_path, held):
    split = Split(tuple(sorted({*range(1, 23)} - {*held})), held)
    unasked = Finished(RunConfig("x"), split, None, [])
    with pytest.raises(ConfigError, match=r"--held-out"):
        export([unasked], release, tmp_path / "x.safetensors")


def test_ten_of_each_kind_are_enough(release):
    check_patients(Split((1, 2), HELD), release)


def test_scans_of_one_person_count_once(release):
    scans = {number: 10**8 + number for number in HELD}
    moved = [replace(s, patient=scans.get(s.patient, s.patient)) for s in release.slices]
    with pytest.raises(ConfigError, match="1 patients with blood and 0 without"):
        check_patients(Split((1, 2), tuple(scans.values())), replace(release, slices=tuple(moved)))


@pytest.mark.parametrize("split", [Split((1, 99), HELD), Split((1, 2), (*HELD, 99))])
def test_a_source_that_is_not_given_is_missed_before_anything_is_asked(release, split):
    with pytest.raises(DataError, match=r"\[99\] are not in these data; give every --data"):
        check_patients(split, release)
