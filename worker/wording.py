"""The few words that every report, page and message carries."""

from collections.abc import Mapping
from typing import Final

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
