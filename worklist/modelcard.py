"""The model's card, as far as a reader needs it: a JSON file beside the weights."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import schema
from schema.hemorrhage_subtypes import SUBTYPES, Claim
from schema.settings import Settings

# Read as a file: the page's host has no torch, and nothing of the worker is imported.
SHIPPED = Path(schema.__file__).parents[1] / "worker" / "munet" / "weights" / "munet.json"


@dataclass(frozen=True)
class TypeClaim:
    """What the model may say of one type."""

    key: str
    name: str
    claim: Claim


@dataclass(frozen=True)
class Expected:
    """How many of the next hundred of a kind the model is expected to call right, by its card."""

    cases: int  # patients behind it
    median: int
    low: int  # 95 % prediction interval
    high: int


@dataclass(frozen=True)
class ModelCard:
    """What a reader should know of the model.

    Attributes
    ----------
    with_blood, without_blood
        What to expect at the operating point in force; None where the card doesn't say.
    members
        How many networks it is the average of.
    measured
        What it was measured on and how it did, as the card has it.
    """

    name: str
    sha256: str
    training_data: str
    training_patients: int
    members: int
    claims: tuple[TypeClaim, ...]
    with_blood: Expected | None
    without_blood: Expected | None
    measured: dict[str, Any]


def read_card(settings: Settings) -> ModelCard | None:
    """Read the card of the model that workers run; None if it isn't on this host."""
    path = (settings.model or SHIPPED).with_suffix(".json")
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
        training = card.get("training", {})
        point = settings.operating_point or card.get("chosen", "")
        return ModelCard(
            name=str(card["name"]),
            sha256=str(card.get("sha256", "")),
            training_data=str(training.get("data", "")),
            training_patients=len(training.get("patients", ())),
            members=int(card.get("members", 1)),
            claims=_claims(card.get("claims", {})),
            with_blood=_expected(card, point, "sensitivity"),
            without_blood=_expected(card, point, "specificity"),
            measured={key: card[key] for key in ("metrics", "evaluation") if key in card},
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _claims(stored: dict[str, str]) -> tuple[TypeClaim, ...]:
    # What a card doesn't say was not shown: blood, of whichever type.
    return tuple(
        TypeClaim(subtype.key, subtype.name, Claim(stored.get(subtype.key, Claim.NOT_TOLD_APART)))
        for subtype in SUBTYPES
    )


def _expected(card: dict[str, Any], point: str, kind: str) -> Expected | None:
    points = card.get("metrics", {}).get("crossval", {}).get("expected", {})
    found = points.get(point, {}).get(kind)
    if found is None or "site" in card.get("training", {}):
        return None  # expected of the thresholds that the site has changed since
    low, high = found["ci95"]
    return Expected(found["cases"], found["median"], low, high)
