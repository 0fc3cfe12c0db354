"""What a person reads about a study, in words, so that nothing looks like an all-clear.

"Not analysed" never reads like "none found", and "none found" says what it does not exclude.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from schema.hemorrhage_subtypes import ANY, Claim
from schema.readers import DisagreementCause
from schema.reason_words import PART_SEEN
from schema.states import Level, Outcome, StudyState, urgency
from worklist.coverage import part_seen
from worklist.entries import Entry, FindingRow
from worklist.formatting import printable, without_details, without_repeats

CAUTION = "Does not exclude hemorrhage."
READ_NORMALLY = "Read in its normal place."
AGAIN = "It is being analysed again."
ARRIVING = "More images are arriving."


@dataclass(frozen=True)
class Wording:
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


OUTCOMES: Mapping[Outcome | None, Wording] = MappingProxyType(
    {
        Outcome.POSITIVE: Wording("positive", "Hemorrhage suspected", ""),
        Outcome.INDETERMINATE: Wording("uncertain", "Uncertain", "Needs review."),
        Outcome.NEGATIVE: Wording("negative", "None found", CAUTION),
        Outcome.NOT_ANALYSED: Wording("unread", "Not analysed", READ_NORMALLY),
        Outcome.FAILED: Wording("failed", "Analysis failed", f"No result. {READ_NORMALLY}"),
        None: Wording("failed", "No outcome recorded", f"No result. {READ_NORMALLY}"),
    }
)
WAITING: Mapping[StudyState, Wording] = MappingProxyType(
    {
        StudyState.RECEIVING: Wording("pending", "Receiving images", "No result yet."),
        StudyState.READY: Wording("pending", "Waiting for analysis", "No result yet."),
        StudyState.RUNNING: Wording("pending", "Analysis running", "No result yet."),
    }
)
# A level is only ever raised: it outlives a newer revision that found nothing or failed.
CONFLICT = Wording(
    "uncertain",
    "Conflicting results",
    "Suspicion in earlier images, none found in the newest. Needs review.",
)
RAISED_EARLIER = "No result for the newest images, but suspicion in earlier ones. Needs review."
# One that stands higher only since a part of the head came first, with nothing suspected in it.
PART_FIRST = f"{CAUTION} It was moved up while only a part of the head had come."
PART_ONLY = "No result for the newest images; in the earlier ones nothing was suspected."
STILL_STANDS = frozenset({Outcome.POSITIVE, Outcome.INDETERMINATE})
WITH_FINDINGS = frozenset({"positive", "uncertain"})
SMALLEST_ML = 0.05  # what one decimal would write as 0.1
WHOLE = 0.9  # of the blood and more is all of it, as far as outlines tell
CAUSES: Mapping[DisagreementCause, str] = MappingProxyType(
    {
        DisagreementCause.MISSED_BLEED: "a bleed was missed",
        DisagreementCause.ARTEFACT: "artefact",
        DisagreementCause.CALCIFICATION: "calcification",
        DisagreementCause.DURA: "dura or sinus",
        DisagreementCause.POST_OPERATIVE: "post-operative",
        DisagreementCause.TUMOUR: "tumour",
        DisagreementCause.WRONG_TYPE: "a bleed, but of another type",
        DisagreementCause.WRONG_VOLUME: "a bleed, but of another size",
        DisagreementCause.OTHER: "other",
    }
)
LEVELS: Mapping[int, str] = MappingProxyType(
    {0: "normal place", 1: "critical", 2: "high", 3: "review", 4: "none found"}
)


def wording_of(entry: Entry) -> Wording:
    """Say what a person reads about this study.

    While a study is analysed again, an earlier suspicion stays and an earlier "none found" goes.
    """
    if entry.state is StudyState.DONE:
        return _wording_when_done(entry)
    more = ARRIVING if entry.state is StudyState.RECEIVING else AGAIN
    if entry.earlier_outcome in STILL_STANDS:
        return replace(OUTCOMES[entry.earlier_outcome], note=more)
    waiting = WAITING[entry.state]
    return replace(waiting, note=f"No result yet. {more}") if entry.earlier_outcome else waiting


def _wording_when_done(entry: Entry) -> Wording:
    plain = OUTCOMES[entry.outcome]
    if entry.outcome in STILL_STANDS or urgency(entry.priority) == Level.NONE_FOUND:
        return plain
    part = PART_SEEN in (entry.priority_reason or "")
    if entry.outcome is Outcome.NEGATIVE:
        return replace(plain, note=PART_FIRST) if part else CONFLICT
    return replace(plain, note=PART_ONLY if part else RAISED_EARLIER)


def marks_of(entry: Entry) -> tuple[str, ...]:
    """Say what calls for a reader beside outcome and level, the loudest first."""
    given = {"not seen yet": entry.escalated_at is not None, "Waiting too long": entry.late}
    return tuple(words for words, is_so in given.items() if is_so)


def seen_by(entry: Entry) -> str:
    """Say who has seen this result; nothing while nobody has, whoever saw an earlier one."""
    return "" if entry.unread else f"seen by {printable(entry.acknowledged_by)}"


def name_findings(entry: Entry) -> tuple[str, ...]:
    """Name the blood in all, then the types as what the model may say of them.

    None for a study without a suspicion; nothing below `SMALLEST_ML` is a finding.
    """
    if wording_of(entry).key not in WITH_FINDINGS:
        return ()
    named = {finding.subtype: finding for finding in entry.findings if is_found(finding)}
    total = named.pop(ANY, None)
    words = [f"{total.volume_ml:.1f} mL of blood"] if total else []
    most_ml = WHOLE * total.volume_ml if total else 0.0
    return (*words, *filter(None, (_name_type(one, most_ml) for one in named.values())))


def _name_type(finding: FindingRow, most_ml: float) -> str:
    """Name a type, a hint as one of a part where it is not of `most_ml` or more."""
    match finding.claim:
        case Claim.REPORTED:
            return f"{finding.subtype} {finding.volume_ml:.1f} mL"
        case Claim.HINTED:
            part = "" if finding.volume_ml >= most_ml else "in part "
            return f"{part}perhaps {finding.subtype}"
        case Claim.NOT_TOLD_APART:
            return ""


def is_found(finding: FindingRow) -> bool:
    """Whether there is enough of it to be a finding."""
    return finding.present and finding.volume_ml >= SMALLEST_ML


def say_claim(finding: FindingRow) -> str:
    """Say of one type what the model may say of it."""
    if finding.claim is Claim.NOT_TOLD_APART:
        return "not told apart from other blood"
    if not is_found(finding):
        return "none outlined"  # its score may be high all the same
    return "found" if finding.claim is Claim.REPORTED else "perhaps"


def summarise(entry: Entry) -> str:
    """Say in one line why the study stands where it stands, each thing once."""
    note = wording_of(entry).note.rstrip(".")
    said = [part_seen(entry.coverage, entry.priority_reason), note]
    if not (note and entry.state is not StudyState.DONE):
        said += [without_details(entry.priority_reason), without_details(entry.reason)]
    return ". ".join(line[:1].upper() + line[1:] for line in without_repeats(said))


def name_level(priority: int) -> str:
    """Name a priority level as lists show it."""
    words = LEVELS.get(priority, "unknown level")
    return f"{priority} {words}" if priority else words
