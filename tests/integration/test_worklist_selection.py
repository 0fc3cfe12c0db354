"""What `explain` says of a series' selection: when, by which rules, and what was left out."""

from pathlib import Path

import pytest

from schema.database import Database
from schema.settings import Settings
from schema.states import SeriesState
from schema.tables import Announcement
from tests.support.rows import LONG_AGO, add_instance, add_series, add_study
from worklist.explaining import read_explanation
from worklist.explanation import SeriesAccount
from worklist.rendering import Templates
from worklist.text import print_explanation


@pytest.fixture
def explained(database: Database) -> Database:
    with database.transaction() as session:
        study = add_study(session)
        series = add_series(
            study,
            session,
            state=SeriesState.SELECTED,
            completed_by="released, 32 slices; quiet for 5 s",
            selection_version="2",
            reason="eligible: base +10",
        )
        for reason in ("image type LOCALIZER", "below the head", "below the head"):
            add_instance(series, session).left_out = reason
        session.add(
            Announcement(
                study_instance_uid="1.2.3",
                series_instance_uid=series.series_instance_uid,
                source="MPPS",
                ae_title="CT1",
                instances=4,
                announced_at=LONG_AGO,
            )
        )
        add_series(study, session, state=SeriesState.RECEIVING, score=None)
    return database


def accounts(database: Database) -> tuple[SeriesAccount, ...]:
    found = read_explanation(database, Path(), "1.2.3")
    assert found is not None
    return found.series


def test_a_decision_is_explained_with_its_moment_and_its_rules(explained: Database) -> None:
    decided, waiting = accounts(explained)
    assert (decided.completed_by, decided.selection_version) == (
        "released, 32 slices; quiet for 5 s",
        "2",
    )
    assert waiting.completed_by is None


def test_what_is_left_out_is_counted_by_reason(explained: Database) -> None:
    left_out = [(one.instances, one.reason) for one in accounts(explained)[0].left_out]
    assert left_out == [(2, "below the head"), (1, "image type LOCALIZER")]


def test_announcements_are_shown(explained: Database) -> None:
    (said,) = accounts(explained)[0].announced
    assert (said.source, said.ae_title, said.instances) == ("MPPS", "CT1", 4)


def test_the_terminal_and_the_page_say_it_too(
    explained: Database, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    found = read_explanation(explained, settings.storage, "1.2.3")
    assert found is not None
    print_explanation(found)
    page = bytes(
        Templates(settings).show(None, "study.html", explanation=found, verdicts=[]).body
    ).decode()
    for text in (capsys.readouterr().out, page):
        assert "quiet for 5 s" in text
        assert "not yet, it may still arrive" in text
        assert "2 below the head" in text
        assert "MPPS of CT1" in text
