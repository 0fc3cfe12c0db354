"""What a person reads about a study, in words, so that nothing looks like an all-clear.

"Not analysed" never reads like "none found", and "none found" says what it does not exclude.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from schema.states import Outcome, StudyState
from schema.studies import NONE_FOUND, urgency
from worklist.entries import Entry

CAUTION = "Does not exclude hemorrhage."
READ_NORMALLY = "Read in its normal place."
AGAIN = "More images arrived; it is being analysed again."


@dataclass(frozen=True)
class Verdict:
    """How a study is shown.

    Attributes
    ----------
    key
        Names the colour and the icon.
    words
        The outcome; it stands without colour and icon.
    note
        What it means for the reader.
    """

    key: str
    words: str
    note: str


OUTCOMES: Mapping[Outcome | None, Verdict] = MappingProxyType(
    {
        Outcome.POSITIVE: Verdict("positive", "Hemorrhage suspected", ""),
        Outcome.INDETERMINATE: Verdict("uncertain", "Uncertain", "Needs review."),
        Outcome.NEGATIVE: Verdict("negative", "None found", CAUTION),
        Outcome.NOT_ANALYSED: Verdict("unread", "Not analysed", READ_NORMALLY),
        Outcome.FAILED: Verdict("failed", "Analysis failed", f"No result. {READ_NORMALLY}"),
        None: Verdict("failed", "No outcome recorded", f"No result. {READ_NORMALLY}"),
    }
)
WAITING: Mapping[StudyState, Verdict] = MappingProxyType(
    {
        StudyState.RECEIVING: Verdict("pending", "Receiving images", "No result yet."),
        StudyState.READY: Verdict("pending", "Waiting for analysis", "No result yet."),
        StudyState.RUNNING: Verdict("pending", "Analysis running", "No result yet."),
    }
)
# A level is only ever raised: it outlives a newer revision that found nothing or failed.
CONFLICT = Verdict(
    "uncertain",
    "Conflicting results",
    "Suspicion in earlier images, none found in the newest. Needs review.",
)
RAISED_EARLIER = "No result for the newest images, but suspicion in earlier ones. Needs review."
STILL_STANDS = frozenset({Outcome.POSITIVE, Outcome.INDETERMINATE})
WITH_FINDINGS = frozenset({"positive", "uncertain"})
LEVELS: Mapping[int, str] = MappingProxyType(
    {0: "normal place", 1: "critical", 2: "high", 3: "review", 4: "none found"}
)


def judge(entry: Entry) -> Verdict:
    """Say what a person reads about this study.

    While a study is analysed again, an earlier suspicion stays and an earlier "none found" goes.
    """
    if entry.state is StudyState.DONE:
        return _judge_done(entry)
    if entry.earlier_outcome in STILL_STANDS:
        return replace(OUTCOMES[entry.earlier_outcome], note=AGAIN)
    waiting = WAITING[entry.state]
    return replace(waiting, note=f"No result yet. {AGAIN}") if entry.earlier_outcome else waiting


def _judge_done(entry: Entry) -> Verdict:
    plain = OUTCOMES[entry.outcome]
    if entry.outcome in STILL_STANDS or urgency(entry.priority) == NONE_FOUND:
        return plain
    if entry.outcome is Outcome.NEGATIVE:
        return CONFLICT
    return replace(plain, note=RAISED_EARLIER)


def name_findings(entry: Entry) -> tuple[str, ...]:
    """Name the types that are present with their volume; none for a study without a suspicion."""
    if judge(entry).key not in WITH_FINDINGS:
        return ()
    return tuple(
        f"{one.subtype} {one.volume_ml:.1f} mL"
        for one in entry.findings
        if one.present and one.subtype != "any"
    )


def name_level(priority: int) -> str:
    """Name a priority level as lists show it."""
    words = LEVELS.get(priority, "unknown level")
    return f"{priority} {words}" if priority else words


def count_verdicts(entries: Iterable[Entry]) -> dict[Verdict, int]:
    """Count studies by what a person reads: conflicts, then outcomes, then what still waits."""
    plain = (CONFLICT, *OUTCOMES.values(), *WAITING.values())
    counts = Counter(judge(entry).words for entry in entries)
    return {verdict: counts[verdict.words] for verdict in plain if counts[verdict.words]}
