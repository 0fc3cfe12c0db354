from collections.abc import Iterator
from datetime import timedelta

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from receiver.catalogue.reopening import reopen
from schema.cut_short import CUT_SHORT
from schema.deciding_job import shown_job
from schema.states import JobState, Outcome, SeriesState, StudyState, move
from schema.studies import update_study
from schema.tables import Base, Series, Study
from tests.support.rows import LONG_AGO, add_job, add_series, add_study, done

LATER = LONG_AGO + timedelta(hours=6)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def session() -> Iterator[Session]:
    engine = sa.create_engine("sqlite://")
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        yield session
    engine.dispose()


def unread(reason: str) -> dict[str, object]:
    """Give the columns of a job whose series could not be analysed."""
    return done(Outcome.NOT_ANALYSED, 0, state=JobState.FAILED, reason=reason)


def test_a_study_without_an_eligible_series_is_not_analysed_and_says_why_of_each(
    session: Session,
) -> None:
    study = add_study(session)
    for number, reason in ((1, "image type LOCALIZER"), (501, "not a CT image")):
        add_series(
            study, session, None, state=SeriesState.REJECTED, series_number=number, reason=reason
        )
    update_study(session, study)
    assert (study.state, study.outcome) == (StudyState.DONE, Outcome.NOT_ANALYSED)
    assert study.reason == "series 1: image type LOCALIZER; series 501: not a CT image"
    assert (study.priority, study.priority_reason) == (0, study.reason)


@pytest.mark.parametrize(("number", "name"), [(4, "4"), (None, "...20260101.2.3")])
def test_no_reason_has_a_description_into_which_somebody_may_write_a_name(
    session: Session, number: int | None, name: str
) -> None:
    study = add_study(session)
    uid, typed = "1.2.840.20260101.2.3", "MUSTERMANN ERIKA"
    refused = {"state": SeriesState.REJECTED, "reason": "sharp kernel"}
    named = {"description": typed, "series_number": number, "series_instance_uid": uid}
    add_series(study, session, None, **refused, **named)
    update_study(session, study)
    assert study.reason == study.priority_reason == f"series {name}: sharp kernel"


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


def test_a_negative_half_does_not_cover_up_the_half_that_failed(session: Session) -> None:
    study = add_study(session)
    lower = add_series(study, session, 10, from_mm=0.0, to_mm=75.0)
    upper = add_series(study, session, 11, from_mm=80.0, to_mm=155.0)
    add_job(lower, session, **done(Outcome.FAILED, 0))
    add_job(upper, session, **done(Outcome.NEGATIVE, 4))
    assert study.outcome == Outcome.FAILED


def test_of_two_scans_the_later_one_speaks(session: Session) -> None:
    study = add_study(session)
    for score, at, reason in ((11, "20260101080000", "first"), (10, "20260101140000", "later")):
        series = add_series(study, session, score, scanned_at=at)
        add_job(series, session, **(done(Outcome.NEGATIVE, 4) | {"reason": reason}))
    assert study.reason == "later"


def test_a_scan_that_its_images_ruled_out_does_not_speak_for_the_plain_one(
    session: Session,
) -> None:
    study = add_study(session)
    plain = add_series(study, session, 11, scanned_at="20260101080000")
    enhanced = add_series(study, session, 11, scanned_at="20260101080500")
    add_job(plain, session, **done(Outcome.NEGATIVE, 4))
    add_job(enhanced, session, **unread("a contrast agent was given; send the plain series"))
    assert study.outcome == Outcome.NEGATIVE


@pytest.mark.parametrize("later", [True, False], ids=["a control", "an earlier scan"])
def test_a_scan_that_could_not_be_read_leaves_no_study_negative(
    session: Session, later: bool
) -> None:
    study = add_study(session)
    read = add_series(study, session, 11, scanned_at="20260101100000")
    at = "20260101160000" if later else "20260101080000"
    control = add_series(study, session, 10, scanned_at=at)
    add_job(read, session, **done(Outcome.NEGATIVE, 4))
    add_job(control, session, **unread("its pixels cannot be decoded; send it again"))
    assert (study.outcome, study.priority) == (Outcome.NOT_ANALYSED, 0)
    assert study.reason == "its pixels cannot be decoded; send it again"


def test_a_scan_that_could_not_be_read_hides_no_bleed(session: Session) -> None:
    study = add_study(session)
    add_job(add_series(study, session, 10), session, **done(Outcome.POSITIVE, 2))
    add_job(add_series(study, session, 11), session, **unread("doubled positions"))
    assert (study.outcome, study.priority) == (Outcome.POSITIVE, 2)


def test_a_negative_second_choice_does_not_cover_up_one_that_could_not_be_read(
    session: Session,
) -> None:
    study = add_study(session)
    add_job(add_series(study, session, 20), session, **unread("doubled positions"))
    add_job(add_series(study, session, 10), session, **done(Outcome.NEGATIVE, 4))
    assert study.outcome == Outcome.NOT_ANALYSED


def test_a_second_choice_decides_where_the_first_was_no_plain_head(session: Session) -> None:
    study = add_study(session)
    knee = add_series(study, session, 20, series_number=2)
    add_job(knee, session, **unread("a body; send the head as its own series"))
    add_job(add_series(study, session, 10), session, **done(Outcome.NEGATIVE, 4))
    assert (study.outcome, study.priority) == (Outcome.NEGATIVE, 4)
    assert study.reason == (
        "because NEGATIVE; not analysed: series 2: a body; send the head as its own series"
    )


def test_a_study_shows_how_much_of_the_head_its_deciding_series_saw(session: Session) -> None:
    study = add_study(session)
    seen = {"from_mm": 0.0, "to_mm": 60.0, "share": 0.5, "gaps": []}
    add_job(add_series(study, session), session, **done(Outcome.INDETERMINATE, 3), coverage=seen)
    assert study.coverage == seen


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


def bleed(ml: float, priority: int = 2, **values: object) -> dict[str, object]:
    """Give the columns of a job that measured so much blood."""
    said = {"measured": {"total_ml": ml}, "reason": f"{ml} mL", "priority_reason": f"{ml} mL"}
    return done(Outcome.POSITIVE, priority, **said | values)


def with_control(session: Session, first_ml: float, control: dict[str, object]) -> Study:
    """Add a study whose bleed was measured and seen, and a control six hours later."""
    study = add_study(session)
    add_job(add_series(study, session, scanned_at="20260101080000"), session, **bleed(first_ml))
    study.acknowledged_at = LONG_AGO + MINUTE
    scanned = add_series(study, session, scanned_at="20260101140000", series_number=4)
    add_job(scanned, session, **control | {"finished_at": LATER})
    session.flush()
    session.refresh(study)
    return study


@pytest.mark.parametrize("control_ml", [28.0, 3.0])
def test_of_two_equally_urgent_scans_the_later_one_speaks_and_is_unread(
    session: Session, control_ml: float
) -> None:
    study = with_control(session, 6.0, bleed(control_ml))
    said = f"{control_ml} mL"
    assert (study.reason, study.priority_reason, study.finished_at) == (said, said, LATER)
    assert study.unread


def test_of_two_equally_urgent_parts_of_one_scan_the_one_with_more_blood_speaks(
    session: Session,
) -> None:
    study = add_study(session)
    for at, ml in (("20260101080000", 20.0), ("20260101080010", 6.0)):
        add_job(add_series(study, session, scanned_at=at), session, **bleed(ml))
    assert study.reason == "20.0 mL"


def test_a_control_that_failed_is_named_and_makes_the_study_unread(session: Session) -> None:
    failed = done(Outcome.FAILED, 0, state=JobState.FAILED)
    study = with_control(session, 6.0, failed)
    assert study.reason == "6.0 mL; analysis failed: series 4: because FAILED"
    assert study.unread


def test_a_less_urgent_control_does_not_count_as_seen(session: Session) -> None:
    study = with_control(session, 6.0, done(Outcome.NEGATIVE, 4))
    assert (study.outcome, study.unread) == (Outcome.POSITIVE, True)


def test_of_two_equally_urgent_revisions_the_newer_one_gives_the_reason(session: Session) -> None:
    study = add_study(session)
    series = add_series(study, session)
    for ml in (6.0, 25.0):
        add_job(series, session, **bleed(ml))
        series.revision += 1
    assert study.priority_reason == "25.0 mL"
    add_job(series, session, **done(Outcome.NEGATIVE, 4))
    assert (study.outcome, study.priority_reason) == (Outcome.NEGATIVE, "25.0 mL")


def test_a_part_of_the_head_hides_no_suspicion_before_it(session: Session) -> None:
    study = add_study(session)
    series = add_series(study, session)
    for said in ("the model suspects blood", "none found in the part seen (80 %)"):
        add_job(series, session, **done(Outcome.INDETERMINATE, 3, priority_reason=said))
        series.revision += 1
    assert study.priority_reason == "none found in the part seen (80 %)"
    add_job(series, session, **done(Outcome.NEGATIVE, 4))
    assert (study.priority, study.priority_reason) == (3, "the model suspects blood")


def seen_study(session: Session, job: dict[str, object]) -> Study:
    """Add a study with one series, whose result somebody saw."""
    study = add_study(session)
    add_job(add_series(study, session), session, **job)
    study.acknowledged_at = LONG_AGO + MINUTE
    return study


def shows(session: Session, study: Study) -> tuple[StudyState, Outcome | None, bool]:
    update_study(session, study)
    session.flush()
    session.refresh(study)
    return study.state, study.outcome, study.unread


@pytest.mark.parametrize("job", [done(Outcome.NEGATIVE, 4), bleed(40.0, 1)])
def test_late_images_take_the_outcome_away_and_make_the_study_unread_until_they_are_decided(
    session: Session, job: dict[str, object]
) -> None:
    study = seen_study(session, job)
    (series,) = study.series
    assert shows(session, study) == (StudyState.DONE, job["outcome"], False)
    reopen(series)
    assert shows(session, study) == (StudyState.RECEIVING, None, True)
    series.state = move(series.state, SeriesState.REJECTED)  # a better one shows the same
    assert shows(session, study) == (StudyState.DONE, job["outcome"], False)


DOUBLED = "several images at one position, and nothing tells them apart"
UNPLACED = "20 of 60 images: no usable position or orientation"


def refuse(series: Series, reason: str) -> None:
    series.state = move(series.state, SeriesState.REJECTED)
    series.score, series.reason, series.last_instance_at = None, reason, LATER


@pytest.mark.parametrize("reason", [UNPLACED, "sharp kernel H70h"])
def test_late_images_that_are_refused_leave_no_study_negative_nor_seen(
    session: Session, reason: str
) -> None:
    study = seen_study(session, done(Outcome.NEGATIVE, 4))
    (series,) = study.series
    reopen(series)
    refuse(series, reason)
    assert shows(session, study) == (StudyState.DONE, Outcome.NOT_ANALYSED, True)
    assert study.reason == f"series {series.name}: {reason}"
    assert (study.priority, study.priority_reason) == (0, study.reason)
    assert (study.finished_at, study.model, shown_job(study.series)) == (LATER, None, None)


def test_a_control_that_is_refused_leaves_no_study_negative_nor_seen(session: Session) -> None:
    study = seen_study(session, done(Outcome.NEGATIVE, 4))
    control = add_series(study, session, state=SeriesState.RECEIVING, series_number=4)
    refuse(control, f"{DOUBLED}; {CUT_SHORT}")
    assert shows(session, study) == (StudyState.DONE, Outcome.NOT_ANALYSED, True)
    assert study.reason == f"series 4: {DOUBLED}; {CUT_SHORT}"


def test_a_control_that_is_refused_is_named_beside_a_bleed_and_unread(session: Session) -> None:
    study = seen_study(session, bleed(6.0))
    control = add_series(study, session, state=SeriesState.RECEIVING, series_number=4)
    refuse(control, DOUBLED)
    assert shows(session, study) == (StudyState.DONE, Outcome.POSITIVE, True)
    assert study.reason == f"6.0 mL; not analysed: series 4: {DOUBLED}"


def test_a_scout_or_bone_series_that_is_refused_changes_nothing(session: Session) -> None:
    study = seen_study(session, done(Outcome.NEGATIVE, 4))
    for reason in ("image type LOCALIZER", "sharp kernel H70h", None):
        refuse(add_series(study, session, state=SeriesState.RECEIVING), str(reason))
    assert shows(session, study) == (StudyState.DONE, Outcome.NEGATIVE, False)


@pytest.mark.parametrize(
    ("at", "reason", "outcome"),
    [
        ("20260101201500", "sharp kernel H70h", Outcome.NOT_ANALYSED),
        ("20260101201500", "sharp kernel B70f of another part by its names", Outcome.NEGATIVE),
        ("20260101081500", "sharp kernel H70h", Outcome.NEGATIVE),
        ("", "sharp kernel H70h", Outcome.NEGATIVE),
    ],
    ids=["another time", "the lung", "the same examination", "time not known"],
)
def test_a_bone_series_speaks_where_nothing_else_of_its_time_was_read(
    session: Session, at: str, reason: str, outcome: Outcome
) -> None:
    study = seen_study(session, done(Outcome.NEGATIVE, 4))
    study.series[0].scanned_at = "20260101080000"
    bone = add_series(study, session, state=SeriesState.RECEIVING, scanned_at=at)
    refuse(bone, reason)
    assert shows(session, study)[1] == outcome


def test_late_images_of_a_series_with_contrast_that_are_refused_change_nothing(
    session: Session,
) -> None:
    study = add_study(session)
    add_job(add_series(study, session), session, **done(Outcome.NEGATIVE, 4))
    enhanced = add_series(study, session)
    add_job(enhanced, session, **unread("a contrast agent was given; send the plain series"))
    reopen(enhanced)
    refuse(enhanced, "not axial")
    assert shows(session, study)[1] == Outcome.NEGATIVE


def test_a_series_that_still_arrives_takes_none_found_away(session: Session) -> None:
    study = seen_study(session, done(Outcome.NEGATIVE, 4))
    add_series(study, session, None, state=SeriesState.RECEIVING)
    assert shows(session, study) == (StudyState.RECEIVING, None, True)


def test_a_report_that_comes_back_from_an_archive_changes_nothing(session: Session) -> None:
    study = seen_study(session, done(Outcome.NEGATIVE, 4))
    add_series(study, session, None, state=SeriesState.RECEIVING, modality="SR")
    assert shows(session, study) == (StudyState.DONE, Outcome.NEGATIVE, False)


def test_a_suspicion_that_nobody_saw_stands_while_another_series_waits(session: Session) -> None:
    study = add_study(session)
    add_job(add_series(study, session), session, **bleed(40.0, 1))
    add_job(add_series(study, session), session)
    assert (study.state, study.finished_at) == (StudyState.READY, LONG_AGO)


@pytest.mark.parametrize(
    ("control", "is_called_out"), [(done(Outcome.NEGATIVE, 4), True), (bleed(50.0, 1), False)]
)
def test_a_newer_critical_result_may_be_called_out_anew(
    session: Session, control: dict[str, object], is_called_out: bool
) -> None:
    study = add_study(session)
    add_job(add_series(study, session), session, **bleed(40.0, 1))
    study.escalated_at = LONG_AGO + MINUTE
    add_job(add_series(study, session), session, **control | {"finished_at": LATER})
    assert (study.escalated_at is not None) == is_called_out
