"""When a series is whole enough to decide on it; a decision of values alone."""

from dataclasses import dataclass
from datetime import datetime

from schema.settings import Settings


@dataclass(frozen=True)
class SeriesClock:
    """What the database knows of a series' arrival.

    Attributes
    ----------
    first_instance_at, last_instance_at
        Database time of its first and its newest instance.
    open_associations
        How many associations that delivered to it are still open.
    """

    first_instance_at: datetime
    last_instance_at: datetime
    open_associations: int


@dataclass(frozen=True)
class Patience:
    """How long to wait, in seconds: with evidence, without it, and at most."""

    quiet_s: float
    silence_s: float
    cap_s: float

    @classmethod
    def of(cls, settings: Settings) -> "Patience":
        """Take the three waits from the settings; a longer quiet period lengthens the others."""
        quiet_s = settings.series_quiet_s
        silence_s = max(settings.series_silence_s, quiet_s)
        return cls(quiet_s, silence_s, max(settings.series_cap_s, silence_s))


def is_ready(clock: SeriesClock, patience: Patience, now: datetime) -> bool:
    """Say whether a series is whole: quiet and its associations over, silent, or overdue."""
    quiet_for_s = (now - clock.last_instance_at).total_seconds()
    if clock.open_associations == 0 and quiet_for_s >= patience.quiet_s:
        return True
    if quiet_for_s >= patience.silence_s:
        return True
    return (now - clock.first_instance_at).total_seconds() >= patience.cap_s
