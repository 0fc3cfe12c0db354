"""What a study's page makes of a result: colours, and a strip of its slices."""

from datetime import UTC, datetime

import pytest

from schema.hemorrhage_subtypes import BLOOD_RGB, SUBTYPES, Claim
from schema.states import JobState, Outcome
from worklist.entries import FindingRow
from worklist.explanation import JobAccount, QueueAccount
from worklist.viewing import HIGH, WIDE, layers, strip

AT = datetime(2026, 3, 1, tzinfo=UTC)
EDH, IPH, IVH, SAH, SDH = SUBTYPES


def job(slices: dict[str, list[float]] | None = None, **claims: Claim) -> JobAccount:
    return JobAccount(
        id=1, revision=1, state=JobState.DONE, shown=True, attempts=1, owner=None, lease_until=None,
        created_at=AT, due_at=AT, started_at=AT, finished_at=AT, last_error=None,
        outcome=Outcome.POSITIVE, reason=None, priority=1, priority_reason=None, rule_version=None,
        measured={}, look={}, timings_s={}, model=None, model_sha256=None, objects=(),
        findings=tuple(FindingRow(key, 0.9, 3.0, True, claim) for key, claim in claims.items()),
        slices=dict(slices or {}), queue=QueueAccount(None, None, 0, (), None, None),
    )  # fmt: skip


def test_a_type_that_was_learned_has_its_own_colour() -> None:
    (layer,) = layers(job(EDH=Claim.REPORTED))
    assert (layer.name, layer.rgb, layer.segments) == (EDH.name, EDH.rgb, (1,))


def test_types_that_are_not_told_apart_are_one_hemorrhage() -> None:
    (layer,) = layers(job(IVH=Claim.NOT_TOLD_APART, SAH=Claim.NOT_TOLD_APART))
    assert (layer.name, layer.rgb, layer.segments) == ("Hemorrhage", BLOOD_RGB, (3, 4))


def test_a_type_that_is_hinted_at_says_perhaps() -> None:
    assert layers(job(IPH=Claim.HINTED))[0].name == f"{IPH.name} (perhaps)"


def test_what_was_not_drawn_is_no_layer() -> None:
    assert layers(job()) == []


def of(*places_mm: float, gaps: tuple[int, ...] = ()) -> dict[str, list[float]]:
    count = len(places_mm)
    return {
        "position_mm": list(places_mm),
        "probability": [0.5] * count,
        "blood_ml": [0.0] * (count - 1) + [1.0],
        "gaps": list(gaps),
    }


def test_slices_fill_the_strip_in_their_order_and_as_high_as_their_score() -> None:
    bars = strip(job(of(0, 5, 10, 15)))
    assert [bar.index for bar in bars] == [0, 1, 2, 3]
    assert [bar.left for bar in bars] == pytest.approx([0, 250, 500, 750])
    assert sum(bar.width for bar in bars) == pytest.approx(WIDE)
    assert {bar.height for bar in bars} == {HIGH / 2}
    assert [bar.bleeds for bar in bars] == [False, False, False, True]


def test_thick_slices_are_wider_than_thin_ones() -> None:
    thin, *_, thick = strip(job(of(0, 2.5, 5, 7.5, 12.5, 17.5, 22.5)))
    assert thick.width > thin.width


def test_a_gap_is_as_wide_as_what_is_missing() -> None:
    bars = strip(job(of(0, 5, 10, 40, 45, gaps=(2,))))
    (gap,) = (bar for bar in bars if bar.index < 0)
    assert gap.width == pytest.approx(WIDE * 25 / 50)
    assert gap.title == "30 mm without a slice"


def test_a_result_that_holds_no_slices_has_no_strip() -> None:
    assert strip(job()) == []
