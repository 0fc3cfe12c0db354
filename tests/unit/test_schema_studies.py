from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from schema.states import JobState, Outcome, SeriesState, StudyState
from schema.studies import update_study
from schema.tables import Base
from tests.support.rows import add_job, add_series, add_study, done


@pytest.fixture
def session() -> Iterator[Session]:
    engine = sa.create_engine("sqlite://")
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        yield session
    engine.dispose()


def test_a_study_without_an_eligible_series_is_not_analysed_and_says_why_of_each(
    session: Session,
) -> None:
    study = add_study(session)
    for name, reason in (("Topogram", "image type LOCALIZER"), ("Dose", "not a CT image")):
        add_series(
            study, session, None, state=SeriesState.REJECTED, description=name, reason=reason
        )
    update_study(session, study)
    assert (study.state, study.outcome) == (StudyState.DONE, Outcome.NOT_ANALYSED)
    assert study.reason == "series 'Topogram': image type LOCALIZER; series 'Dose': not a CT image"
    assert (study.priority, study.priority_reason) == (0, study.reason)


def test_a_study_that_still_arrives_has_no_outcome(session: Session) -> None:
    study = add_study(session)
    add_series(study, session, None, state=SeriesState.REJECTED, reason="scout")
    add_series(study, session, state=SeriesState.RECEIVING)
    update_study(session, study)
    assert (study.state, study.outcome) == (StudyState.RECEIVING, None)


def test_a_running_job_makes_the_study_running(session: Session) -> None:
    study = add_study(session)
    add_job(add_series(study, session), session, state=JobState.READY)
    add_job(add_series(study, session), session, state=JobState.RUNNING)
    assert study.state == StudyState.RUNNING


def test_the_most_urgent_series_gives_the_outcome(session: Session) -> None:
    study = add_study(session)
    add_job(add_series(study, session, 20), session, **done(Outcome.NEGATIVE, 4))
    add_job(add_series(study, session, 10), session, **done(Outcome.POSITIVE, 2))
    assert (study.outcome, study.priority) == (Outcome.POSITIVE, 2)


def test_a_negative_second_choice_does_not_cover_up_a_failed_first_one(session: Session) -> None:
    study = add_study(session)
    add_job(add_series(study, session, 10), session, **done(Outcome.NEGATIVE, 4))
    add_job(
        add_series(study, session, 20),
        session,
        **done(Outcome.FAILED, 0, state=JobState.FAILED),
    )
    assert (study.outcome, study.priority) == (Outcome.FAILED, 0)


def test_the_priority_is_only_ever_raised(session: Session) -> None:
    study = add_study(session)
    series = add_series(study, session)
    add_job(series, session, **done(Outcome.POSITIVE, 2))
    series.revision = 2
    add_job(series, session, **done(Outcome.NEGATIVE, 4))
    assert (study.outcome, study.priority, study.revision) == (Outcome.NEGATIVE, 2, 2)


def test_a_study_is_raised_while_its_other_series_still_waits(session: Session) -> None:
    study = add_study(session)
    add_job(add_series(study, session), session, **done(Outcome.POSITIVE, 1))
    add_job(add_series(study, session), session)
    assert (study.state, study.outcome, study.priority) == (StudyState.READY, None, 1)
