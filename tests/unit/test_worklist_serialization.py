import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from schema.states import Outcome, StudyState
from tests.support.entries import EIGHT
from tests.support.entries import ENTRY as PLAIN
from worklist.coverage import Coverage, Gap
from worklist.entries import FindingRow, ObjectRow, Worklist
from worklist.serialization import entry_json, worklist_json

ENTRY = replace(
    PLAIN,
    outcome=Outcome.POSITIVE,
    priority=1,
    priority_reason="IPH 31.0 mL >= 30 mL",
    ready_at=EIGHT,
    age_s=60.0,
    model="munet",
    findings=(FindingRow("any", 0.9, 31.0, present=True),),
    objects=(ObjectRow("SEG", "1.2.4", Path("/data/seg.dcm"), {}),),
)


def test_an_entry_has_the_keys_of_the_contract() -> None:
    assert entry_json(ENTRY).keys() >= {
        "study_instance_uid",
        "accession_number",
        "patient_id",
        "state",
        "outcome",
        "reason",
        "priority",
        "priority_reason",
        "received_at",
        "ready_at",
        "finished_at",
        "model",
        "revision",
        "coverage",
        "unread",
        "findings",
        "objects",
    }


@pytest.mark.parametrize(
    ("changes", "shown_as", "said"),
    [
        ({"outcome": Outcome.NEGATIVE, "priority": 4}, "None found", "not exclude"),
        ({"outcome": Outcome.NEGATIVE}, "Conflicting results", "Suspicion in earlier images"),
        ({"outcome": Outcome.FAILED, "priority": 2}, "Analysis failed", "suspicion in earlier"),
        ({"outcome": Outcome.NOT_ANALYSED, "priority": 0}, "Not analysed", "normal place"),
        (
            {"state": StudyState.RECEIVING, "outcome": None, "earlier_outcome": Outcome.NEGATIVE},
            "Receiving images",
            "More images are arriving",
        ),
    ],
)
def test_json_says_of_a_study_what_the_page_does(
    changes: dict[str, Any], shown_as: str, said: str
) -> None:
    made = entry_json(replace(ENTRY, **changes))
    assert made["shown_as"] == shown_as
    assert said in made["note"]


def test_a_time_is_iso_8601_in_utc() -> None:
    assert entry_json(ENTRY)["received_at"] == "2026-03-01T08:00:00.000Z"


def test_a_finding_has_the_keys_of_the_contract() -> None:
    assert entry_json(ENTRY)["findings"] == [
        {
            "subtype": "any",
            "probability": 0.9,
            "volume_ml": 31.0,
            "present": True,
            "claim": "REPORTED",
        }
    ]


def test_an_object_has_the_keys_of_the_contract() -> None:
    assert entry_json(ENTRY)["objects"] == [
        {"kind": "SEG", "sop_instance_uid": "1.2.4", "path": "/data/seg.dcm", "delivered": {}}
    ]


def test_states_and_outcomes_are_plain_words() -> None:
    text = json.dumps(worklist_json(Worklist(EIGHT, (ENTRY,))))
    assert '"state": "DONE", "outcome": "POSITIVE"' in text


def test_coverage_has_the_keys_of_the_contract() -> None:
    part = replace(ENTRY, coverage=Coverage(-20.0, 60.0, 0.5, (Gap(0.0, 30.0),)))
    assert entry_json(part)["coverage"] == {
        "from_mm": -20.0,
        "to_mm": 60.0,
        "share": 0.5,
        "gaps": [{"from_mm": 0.0, "to_mm": 30.0}],
    }


def test_a_patient_name_or_birth_date_never_gets_into_json() -> None:
    plain = json.dumps(entry_json(ENTRY))
    assert "DOE" not in plain
    assert "19510203" not in plain


def test_a_number_that_json_cannot_hold_is_null() -> None:
    nan = replace(ENTRY, findings=(FindingRow("any", float("nan"), 0.0, present=False),))
    assert entry_json(nan)["findings"][0]["probability"] is None
