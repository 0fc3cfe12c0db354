from datetime import UTC, datetime

import pytest

from schema.readers import DisagreementCause
from schema.states import Outcome
from worklist.acknowledgement import GivenVerdict, Opinion, ReadingError
from worklist.performance import exact_interval, sum_up

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def verdict(
    uid: str, outcome: Outcome, agrees: bool, cause: DisagreementCause | None = None
) -> GivenVerdict:
    return GivenVerdict(
        uid, "A1", agrees, cause, "", outcome, 1, 1, "munet", "0" * 64, 0.5, "reader", NOON
    )


@pytest.mark.parametrize(
    ("hits", "of", "low", "high"),
    [
        (8, 10, 0.4439, 0.9748),  # tables of Clopper and Pearson
        (0, 10, 0.0, 0.3085),
        (10, 10, 0.6915, 1.0),
        (0, 0, 0.0, 1.0),
        (95, 100, 0.8872, 0.9836),
    ],
)
def test_an_interval_is_the_exact_one(hits: int, of: int, low: float, high: float) -> None:
    assert exact_interval(hits, of) == pytest.approx((low, high), abs=1e-4)


def test_a_wrong_type_is_a_bleed_all_the_same() -> None:
    summed = sum_up([verdict("1", Outcome.POSITIVE, False, DisagreementCause.WRONG_TYPE)])
    assert summed.positive_predictive_value.hits == 1


def test_an_artefact_is_none() -> None:
    summed = sum_up([verdict("1", Outcome.POSITIVE, False, DisagreementCause.ARTEFACT)])
    assert (summed.positive_predictive_value.hits, summed.positive_predictive_value.of) == (0, 1)


def test_a_missed_bleed_counts_against_the_negative_value() -> None:
    summed = sum_up(
        [
            verdict("1", Outcome.NEGATIVE, False, DisagreementCause.MISSED_BLEED),
            verdict("2", Outcome.NEGATIVE, True),
        ]
    )
    assert summed.negative_predictive_value.value == 0.5
    assert summed.causes == {"MISSED_BLEED": 1}


def test_the_newest_verdict_of_a_study_counts() -> None:
    changed = [
        verdict("1", Outcome.POSITIVE, False, DisagreementCause.DURA),
        verdict("1", Outcome.POSITIVE, True),
    ]
    assert sum_up(changed).positive_predictive_value.value == 1.0


@pytest.mark.parametrize(("agrees", "cause"), [(True, DisagreementCause.DURA), (False, None)])
def test_an_opinion_that_contradicts_itself_is_refused(
    agrees: bool, cause: DisagreementCause | None
) -> None:
    with pytest.raises(ReadingError):
        Opinion(agrees, cause)


@pytest.mark.parametrize(
    ("outcome", "agrees", "cause", "bleeds"),
    [
        (Outcome.POSITIVE, True, None, True),
        (Outcome.POSITIVE, False, DisagreementCause.TUMOUR, False),
        (Outcome.POSITIVE, False, DisagreementCause.OTHER, None),
        (Outcome.NEGATIVE, True, None, False),
        (Outcome.NEGATIVE, False, DisagreementCause.WRONG_TYPE, True),
        (Outcome.NEGATIVE, False, DisagreementCause.ARTEFACT, None),
        (Outcome.INDETERMINATE, True, None, None),
        (Outcome.INDETERMINATE, False, DisagreementCause.MISSED_BLEED, True),
        (Outcome.INDETERMINATE, False, DisagreementCause.CALCIFICATION, False),
        (Outcome.NOT_ANALYSED, True, None, None),
    ],
)
def test_a_verdict_says_of_blood_what_the_reader_said(
    outcome: Outcome, agrees: bool, cause: DisagreementCause | None, bleeds: bool | None
) -> None:
    assert verdict("1", outcome, agrees, cause).bleeds is bleeds


def test_what_is_left_open_is_in_no_value_and_counted() -> None:
    summed = sum_up([verdict("1", Outcome.INDETERMINATE, True)])
    assert (summed.indeterminate_with_bleed.of, summed.left_open) == (0, 1)
