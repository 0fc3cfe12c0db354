import numpy as np
import pytest

from tests.support.ctich import make
from trainer.commands.options import left_out
from trainer.datasets.cache import Prepared
from trainer.datasets.sources import read_release
from trainer.datasets.splits import (
    PAPER_TEST,
    LeakError,
    LeakingSplit,
    Split,
    SplitError,
    evaluated_patients,
    folds,
    held_here,
    held_patients,
    held_split,
    hold_out,
    inner,
    recorded,
)


def heads(types_by_patient):
    """Two slices a patient, the second with the patient's types."""
    patients = np.repeat(list(types_by_patient), 2)
    types = np.zeros((len(patients), 5), np.bool_)
    for row, found in zip(range(1, len(patients), 2), types_by_patient.values(), strict=True):
        types[row, found] = True
    empty = np.zeros((len(patients), 8, 8))
    layout = np.repeat(np.arange(len(patients))[:, None], 3, axis=1)
    return Prepared(
        patients,
        np.tile([1, 2], len(types_by_patient)),
        types,
        empty.astype(np.uint8),
        empty.astype(np.bool_),
        layout,
    )


def test_a_patient_on_both_sides_raises():
    with pytest.raises(LeakError, match="52"):
        Split((52, 53), (52,))


def test_held_out_patients_are_not_trained_on():
    assert hold_out({1, 2, 3}, {2, 99}) == Split((1, 3), (2,))


def test_the_paper_tests_nine_patients():
    assert PAPER_TEST == (49, 50, 51, 70, 79, 80, 87, 88, 89)


def test_every_patient_is_judged_in_exactly_one_fold():
    prepared = heads({n: [n % 5] if n < 25 else [] for n in range(40)})
    evaluated = [p for split in folds(prepared, 5, 0) for p in split.validation]
    assert sorted(evaluated) == list(range(40))


def test_a_type_of_five_patients_stands_in_each_of_five_folds():
    prepared = heads({n: [4] if n < 5 else [] for n in range(20)})
    assert [sum(p < 5 for p in s.validation) for s in folds(prepared, 5, 0)] == [1] * 5


def test_a_seed_gives_the_same_folds_again():
    prepared = heads({n: [n % 5] for n in range(15)})
    assert folds(prepared, 3, 7) == folds(prepared, 3, 7)


def test_paper_test_holds_table_3s_patients_out_beside_those_who_are_named():
    assert held_patients((), "paper-test") == PAPER_TEST
    assert held_patients((7, 49), "paper-test") == (7, *PAPER_TEST)
    assert held_patients((), "") == ()
    with pytest.raises(SplitError, match="unknown"):
        held_patients((), "other")


def test_a_fifth_with_most_types_is_held_out_when_nobody_is_named():
    # Three patients have SDH, so two of five folds have none.
    prepared = heads({n: [4] if n < 3 else [0] if n < 12 else [] for n in range(20)})
    held = held_split(prepared, (), "", 0)
    assert held in folds(prepared, 5, 0)
    assert prepared.types[prepared.where(held.validation)].any(axis=0).sum() == 2
    assert held_split(prepared, (3,), "", 0).validation == (3,)


def test_whoever_is_named_by_a_list_or_a_split_is_trained_on_by_nobody():
    prepared = heads({49: [0], 52: [], 53: [1], 79: []})
    assert held_split(prepared, (53,), "paper-test", 0) == Split((52,), (49, 53, 79))
    assert evaluated_patients({49, 52, 53}, (53,), "paper-test") == (49, 53)
    with pytest.raises(SplitError, match=r"\[49, 50, .*are not in these data"):
        held_here({52, 53}, (53,), "paper-test")  # a split without anybody is no split


def test_a_share_kept_back_comes_from_the_training_patients_alone():
    prepared = heads({n: [n % 5] for n in range(20)})
    whole = folds(prepared, 5, 0)[0]
    parts = inner(prepared, whole, 0)
    assert {*parts.train, *parts.validation} == set(whole.train)
    assert parts.validation


def test_more_folds_than_patients_are_refused():
    with pytest.raises(SplitError, match="can't be cut"):
        folds(heads({1: [0], 2: []}), 3, 0)


@pytest.mark.parametrize("split", [Split((1, 2), (3,), (7,)), LeakingSplit((0,), (1,), (), (7,))])
def test_a_record_says_who_was_left_out_and_one_of_before_nobody(split):
    assert recorded(split.record()).without == (7,)
    before = {name: value for name, value in split.record().items() if name != "without"}
    assert recorded(before) == split
    assert recorded(before).without == ()


def test_who_is_left_out_is_named_by_number_and_by_the_papers_split(tmp_path):
    release = read_release(make(tmp_path, dict.fromkeys([1, 49, 50, 55], ())))
    assert left_out(release, "") == ()
    assert left_out(release, "paper-test, 55") == (49, 50, 55)
    assert release.without((49, 50, 55)).patients == (1,)
    for absent in ("56", "paper-test,56"):
        with pytest.raises(SplitError, match=r"\[56\] are not in these data"):
            left_out(release, absent)
