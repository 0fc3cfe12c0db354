"""The few words that every report, page and message carries."""

from collections.abc import Mapping
from typing import Any, Final

from schema.hemorrhage_subtypes import Claim
from schema.shares import WHOLE
from schema.states import Outcome

NOT_FOR_DIAGNOSIS: Final = "AI result, for research, not for diagnosis"
SCORE: Final = "probabilities are scores of the model"
NOTICE: Final = f"{NOT_FOR_DIAGNOSIS}; {SCORE}; preliminary"
OUTCOME_WORDS: Final[Mapping[Outcome, str]] = {
    Outcome.POSITIVE: "Suspected hemorrhage",
    Outcome.INDETERMINATE: "Uncertain: to be looked at",
    Outcome.NEGATIVE: "No hemorrhage detected by AI; does not exclude hemorrhage",
    Outcome.NOT_ANALYSED: "Not analysed by AI: says nothing about hemorrhage",
    Outcome.FAILED: "Not analysed by AI (it failed): says nothing about hemorrhage",
}
LEVEL_WORDS: Final = ("not analysed", "critical", "high", "review", "none found")
MOST_GAPS: Final = 3  # that are named one by one


def type_words(name: str, claim: Claim, present: bool) -> str:
    """Name a type as far as the model may: a hint of what was not outlined is a hint of nothing."""
    if claim is not Claim.HINTED:
        return name
    return f"{name} (a hint)" if present else f"{name} (none outlined, not excluded)"


def may_exclude(outcome: Outcome, coverage: Mapping[str, Any] | None) -> bool:
    """Say whether what was not found may be called absent: in doubt, or of a part of a head, no.

    How much of a head must be seen for "none found", the rules of the priority say.
    """
    if outcome is Outcome.POSITIVE:
        seen = coverage or {}
        return float(seen.get("share", 1)) >= WHOLE and not seen.get("gaps")
    return outcome is Outcome.NEGATIVE
