"""When a series is complete enough to decide on it; a decision of values alone."""

from collections.abc import Sequence
from dataclasses import dataclass

from receiver.completeness.ages import Age
from receiver.instance.geometry import distinct, evenness
from receiver.selection.rules import EvidenceLimits
from schema.settings import Settings


@dataclass(frozen=True)
class SeriesClock:
    """What the database knows of a series' arrival.

    Attributes
    ----------
    since_first_s, since_last_s
        How long ago its revision got its first and its newest instance.
    open_associations
        How many associations that delivered to it are still open.
    aborted
        Whether the newest of them was aborted.
    """

    since_first_s: float
    since_last_s: float
    open_associations: int
    aborted: bool = False


@dataclass(frozen=True)
class Count:
    """How many instances somebody else says that the series has, and how many of them are here."""

    source: str
    expected: int
    arrived: int

    @property
    def is_complete(self) -> bool:
        """Whether all of them are here."""
        return self.arrived >= self.expected


@dataclass(frozen=True)
class Arrived:
    """What is here of a series.

    Attributes
    ----------
    slice_position_mm
        Along the normal, of its axial CT slices in any order; empty for a scout, a report or
        a capture, which needs no evidence.
    counts
        What others say.
    """

    slice_position_mm: Sequence[float]
    counts: Sequence[Count] = ()


@dataclass(frozen=True)
class CompletenessTimeouts:
    """How long to wait, in seconds: with evidence, without it, and at most."""

    quiet_s: float
    silence_s: float
    cap_s: float

    @classmethod
    def of(cls, settings: Settings) -> "CompletenessTimeouts":
        """Take the three waits from the settings; a longer quiet period lengthens the others."""
        quiet_s = settings.series_quiet_s
        silence_s = max(settings.series_silence_s, quiet_s)
        return cls(quiet_s, silence_s, max(settings.series_cap_s, silence_s))

    def may_be_due(self, age: Age) -> bool:
        """Say whether a series of this age can be ready, whatever is known of it."""
        return age.since_last_s >= self.quiet_s or age.since_first_s >= self.cap_s


@dataclass(frozen=True)
class Evidence:
    """Whether a series is complete: for, against or without a sign, and what tells so."""

    complete: bool
    words: str


def completed_by(
    clock: SeriesClock, evidence: Evidence, timeouts: CompletenessTimeouts
) -> str | None:
    """Say why a series is decided on now, or None as long as it should be waited for."""
    if evidence.complete and clock.since_last_s >= timeouts.quiet_s:
        return f"{evidence.words}; quiet for {timeouts.quiet_s:g} s"
    if clock.since_last_s >= timeouts.silence_s:
        return f"silent for {timeouts.silence_s:g} s without proof ({evidence.words})"
    if clock.since_first_s >= timeouts.cap_s:
        return f"still arriving after {timeouts.cap_s:g} s ({evidence.words})"
    return None


def assess(clock: SeriesClock, arrived: Arrived, limits: EvidenceLimits) -> Evidence:
    """Go by counts first, since they know all; then by the end of sending and the slices."""
    missing = next((count for count in arrived.counts if not count.is_complete), None)
    if missing is not None:
        return Evidence(
            False, f"{missing.source}: {missing.arrived} of {missing.expected} are here"
        )
    if arrived.counts:
        complete = arrived.counts[0]
        return Evidence(True, f"{complete.source}: all {complete.expected} are here")
    if clock.open_associations:
        return Evidence(False, "its association is still open")
    if clock.aborted:
        return Evidence(False, "its association was aborted")
    return _assess_slices(distinct(arrived.slice_position_mm), limits)


def _assess_slices(slice_position_mm: Sequence[float], limits: EvidenceLimits) -> Evidence:
    if not slice_position_mm:
        return Evidence(True, "released, no axial CT slices to wait for")
    extent_mm = slice_position_mm[-1] - slice_position_mm[0]
    if extent_mm < limits.min_extent_mm:
        return Evidence(
            False, f"{extent_mm:.0f} mm do not cover a head ({limits.min_extent_mm:g} mm)"
        )
    even = evenness(slice_position_mm)
    if even.odd_steps_mm:
        return Evidence(False, f"a step of {even.odd_steps_mm[0]:g} mm is a gap or uneven")
    if len(even.parts_mm) > limits.max_parts:
        return Evidence(False, f"{len(even.parts_mm)} different steps between slices")
    count = len(slice_position_mm)
    steps = " then ".join(f"{step:g}" for step in even.parts_mm)
    return Evidence(
        True,
        f"released, {count} slices over {extent_mm:.0f} mm in steps of {steps} mm",
    )
