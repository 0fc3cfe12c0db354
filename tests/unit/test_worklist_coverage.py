import pytest

from worklist.coverage import Coverage, Gap, make_coverage, part_seen


def test_a_whole_head_needs_no_word() -> None:
    assert part_seen(Coverage(0, 140, 1.0)) == ""


def test_what_nobody_measured_says_nothing() -> None:
    assert part_seen(make_coverage(None)) == ""


def test_a_part_is_named_with_its_share() -> None:
    assert part_seen(Coverage(0, 70, 0.489)) == "part seen: 48 % of the head"


def test_a_gap_is_named_with_its_height() -> None:
    seen = Coverage(0, 140, 0.8, (Gap(60, 90),))
    assert part_seen(seen) == "part seen: 80 % of the head, a gap of 30 mm"


def test_a_head_with_a_gap_is_a_part_however_large_the_rest() -> None:
    assert Coverage(0, 140, 1.0, (Gap(60, 65),)).is_part


@pytest.mark.parametrize(
    "stored", [{}, {"share": 1.0}, {"from_mm": 0, "to_mm": 1, "share": float("nan"), "gaps": []}]
)
def test_an_incomplete_record_is_none(stored: dict[str, float]) -> None:
    assert make_coverage(stored) is None
