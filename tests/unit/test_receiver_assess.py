"""When a series is whole: evidence, silence or the cap."""

from collections.abc import Sequence

import pytest

from receiver.completeness.assess import (
    Arrived,
    CompletenessTimeouts,
    Count,
    SeriesClock,
    assess,
    completed_by,
)
from receiver.selection.rules import load_rules
from schema.settings import Settings

LIMITS = load_rules().evidence
TIMEOUTS = CompletenessTimeouts(quiet_s=5, silence_s=20, cap_s=600)
HEAD_MM = [index * 5.0 for index in range(32)]
THIN_THEN_THICK_MM = [*(index * 2.5 for index in range(20)), *(50 + i * 5.0 for i in range(20))]
CENTRES_OF_BOTH_MM = [*(index * 2.5 for index in range(20)), *(51.25 + i * 5.0 for i in range(20))]


def decided(
    quiet_for_s: float,
    slice_position_mm: Sequence[float] = HEAD_MM,
    counts: Sequence[Count] = (),
    associations: int = 0,
    age_s: float = 60,
    aborted: bool = False,
) -> str | None:
    clock = SeriesClock(age_s, quiet_for_s, associations, aborted)
    evidence = assess(clock, Arrived(slice_position_mm, counts), LIMITS)
    return completed_by(clock, evidence, TIMEOUTS)


def test_a_whole_and_released_series_waits_for_the_quiet_period_alone() -> None:
    assert decided(4.9) is None
    assert decided(5) == "released, 32 slices over 155 mm in steps of 5 mm; quiet for 5 s"


def test_an_open_association_means_silence() -> None:
    assert decided(19.9, associations=1) is None
    assert "association is still open" in (decided(20, associations=1) or "")


def test_an_aborted_association_means_silence_and_is_named() -> None:
    assert decided(19.9, aborted=True) is None
    assert "its association was aborted" in (decided(20, aborted=True) or "")


def test_what_a_count_proves_whole_waits_for_no_more_after_an_abort() -> None:
    assert decided(5, counts=[Count("MPPS of CT1", 32, 32)], aborted=True) is not None


def test_a_gap_means_silence() -> None:
    gap = [place for place in HEAD_MM if place != 50]
    assert decided(19.9, gap) is None
    assert "a step of 10 mm is a gap or uneven" in (decided(20, gap) or "")


def test_half_a_head_means_silence() -> None:
    assert decided(19.9, HEAD_MM[:20]) is None
    assert "95 mm do not cover a head" in (decided(20, HEAD_MM[:20]) or "")


def test_an_endless_sender_is_capped() -> None:
    assert decided(0.1, age_s=599, associations=1) is None
    assert "still arriving after 600 s" in (decided(0.1, age_s=600, associations=1) or "")


@pytest.mark.parametrize("slice_position_mm", [THIN_THEN_THICK_MM, CENTRES_OF_BOTH_MM])
def test_thin_then_thick_slices_are_evenly_stepped(slice_position_mm: Sequence[float]) -> None:
    assert "in steps of 2.5 then 5 mm" in (decided(5, slice_position_mm) or "")


def test_places_that_are_rounded_are_evenly_stepped() -> None:
    assert decided(5, [round(index * 4.7368, 1) for index in range(32)]) is not None


def test_two_images_at_each_place_are_evenly_stepped() -> None:
    assert decided(5, [*HEAD_MM, *HEAD_MM]) is not None


def test_the_order_of_arrival_does_not_matter() -> None:
    assert decided(5, HEAD_MM[::2] + HEAD_MM[1::2]) == decided(5)


def test_what_has_no_slices_needs_no_geometry() -> None:
    assert decided(4.9, []) is None
    assert decided(5, []) == "released, no axial CT slices to wait for; quiet for 5 s"
    assert decided(5, [], associations=1) is None


def test_a_full_count_proves_more_than_slices_and_associations() -> None:
    counts = [Count("MPPS of CT1", 3, 3)]
    assert decided(5, [0.0, 7.0, 9.0], counts, associations=1) == (
        "MPPS of CT1: all 3 are here; quiet for 5 s"
    )


def test_a_count_that_is_not_reached_outweighs_even_slices() -> None:
    counts = [Count("C-FIND of PACS", 40, 32)]
    assert decided(19.9, counts=counts) is None
    assert "C-FIND of PACS: 32 of 40 are here" in (decided(20, counts=counts) or "")


def test_one_count_that_is_not_reached_outweighs_one_that_is() -> None:
    assert (
        decided(5, counts=[Count("MPPS of CT1", 32, 32), Count("C-FIND of PACS", 40, 32)]) is None
    )


def test_a_longer_quiet_period_lengthens_the_other_two() -> None:
    assert CompletenessTimeouts.of(Settings(series_quiet_s=700)) == CompletenessTimeouts(
        700, 700, 700
    )
