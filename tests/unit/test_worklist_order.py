from dataclasses import replace
from datetime import timedelta

import pytest

from tests.support.entries import EIGHT, ENTRY
from worklist.entries import Entry
from worklist.order import most_urgent_first


def arrived(minute: int, priority: int) -> Entry:
    at = EIGHT + timedelta(minutes=minute)
    return replace(ENTRY, received_at=at, priority=priority, study_instance_uid=f"1.{minute}")


def minutes(*entries: Entry) -> list[int]:
    return [int(entry.study_instance_uid[2:]) for entry in most_urgent_first(entries)]


def test_critical_comes_before_high_and_review() -> None:
    assert minutes(arrived(1, 3), arrived(2, 2), arrived(3, 1)) == [3, 2, 1]


def test_of_two_equally_urgent_studies_the_older_comes_first() -> None:
    assert minutes(arrived(9, 1), arrived(2, 1)) == [2, 9]


@pytest.mark.parametrize("kept", [0, 4])
def test_a_study_for_review_comes_before_an_older_one_in_its_normal_place(kept: int) -> None:
    assert minutes(arrived(1, kept), arrived(2, 3)) == [2, 1]


def test_none_found_and_not_analysed_keep_their_order_of_arrival() -> None:
    assert minutes(arrived(3, 4), arrived(2, 0), arrived(1, 4), arrived(4, 0)) == [1, 2, 3, 4]


def test_studies_of_the_same_instant_always_stand_in_the_same_order() -> None:
    one, two = replace(ENTRY, study_instance_uid="1.1"), replace(ENTRY, study_instance_uid="1.2")
    assert most_urgent_first([two, one]) == most_urgent_first([one, two])
