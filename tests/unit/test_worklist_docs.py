"""The documents for readers and for programs say what the code does."""

from dataclasses import fields
from pathlib import Path

import pytest

from schema.hemorrhage_subtypes import Claim
from schema.readers import DisagreementCause
from schema.states import Outcome, StudyState
from tests.support.entries import ENTRY
from worklist.acknowledgement import GivenVerdict
from worklist.coverage import Coverage
from worklist.entries import FindingRow, ObjectRow
from worklist.explanation import (
    Announced,
    DeliveryAccount,
    Explanation,
    IdentityAccount,
    JobAccount,
    LeftOut,
    Resent,
    SeriesAccount,
)
from worklist.page import WARNING_HEADER
from worklist.performance import Proportion, SitePerformance
from worklist.serialization import entry_json
from worklist.unlikeness import Unlikeness
from worklist.window import View, Window
from worklist.wording import CONFLICT, OUTCOMES

DOCS = Path(__file__).parents[2] / "docs"
API = (DOCS / "api.md").read_text(encoding="utf-8")
KINDS = (
    FindingRow,
    ObjectRow,
    Coverage,
    Unlikeness,
    Explanation,
    SeriesAccount,
    JobAccount,
    DeliveryAccount,
    IdentityAccount,
    Resent,
    LeftOut,
    Announced,
    GivenVerdict,
    SitePerformance,
    Proportion,
)


@pytest.mark.parametrize(
    "name",
    sorted(
        {*entry_json(ENTRY), *(field.name for kind in KINDS for field in fields(kind))} - {"entry"}
    ),
)
def test_every_field_of_the_json_is_documented(name: str) -> None:
    assert f"`{name}`" in API


def test_the_header_of_warnings_is_documented() -> None:
    assert f"`{WARNING_HEADER}`" in API


@pytest.mark.parametrize("name", [field.name for field in fields(Window) if field.name != "recent"])
def test_every_filter_is_documented(name: str) -> None:
    assert f"`{name}`" in API


@pytest.mark.parametrize("value", [*Outcome, *StudyState, *Claim, *DisagreementCause, *View])
def test_every_value_is_documented(value: str) -> None:
    assert f"`{value}`" in API


def test_every_outcome_is_explained_to_radiologists() -> None:
    text = (DOCS / "radiologist.md").read_text(encoding="utf-8")
    spoken = [verdict.words for outcome, verdict in OUTCOMES.items() if outcome]
    assert [words for words in (*spoken, CONFLICT.words) if words not in text] == []
