"""The list and the explanation say where each object went."""

from datetime import UTC, datetime, timedelta

from schema.database import Database
from schema.settings import Settings
from schema.states import DeliveryState, Outcome, SeriesState
from schema.studies import update_study
from schema.tables import Delivery, ResultObject, Study
from tests.support.rows import add_job, add_series, add_study, done
from worklist.explaining import read_explanation
from worklist.queries import read_worklist
from worklist.timeline import timeline

NOW = datetime(2026, 1, 2, tzinfo=UTC)
LATER = datetime(2026, 1, 3, tzinfo=UTC)


def owed(study: Study, uid: str, destination: str, state: DeliveryState) -> Delivery:
    return Delivery(
        destination=destination,
        key=uid,
        study_id=study.id,
        priority=1,
        state=state,
        created_at=NOW,
        due_at=NOW,
    )


def test_each_object_shows_its_state_at_each_destination(
    settings: Settings, database: Database
) -> None:
    with database.transaction() as session:
        study = add_study(session)
        job = add_job(add_series(study, session), session, **done(Outcome.POSITIVE, 1))
        job.objects = [ResultObject(kind="SR", sop_instance_uid="1.9", path="r/1", sha256="")]
        session.add(owed(study, "1.9", "PACS", DeliveryState.COMMITTED))
        session.add(owed(study, "1.9", "ARCHIVE", DeliveryState.FAILED))
    (entry,) = read_worklist(database, settings.storage).entries
    assert entry.objects[0].delivered == {"ARCHIVE": "FAILED", "PACS": "COMMITTED"}
    found = read_explanation(database, settings.storage, "1.2.3")
    assert found is not None
    assert found.series[0].jobs[0].objects == entry.objects


def test_the_objects_of_a_study_that_was_not_analysed_are_shown_until_it_is(
    settings: Settings, database: Database
) -> None:
    with database.transaction() as session:
        study = add_study(session)
        add_series(study, session, state=SeriesState.REJECTED, score=None, reason="3 slices")
        study.objects = [
            ResultObject(study_revision=1, kind="SR", sop_instance_uid="1.9", path="r/1", sha256="")
        ]
        update_study(session, study)
    (entry,) = read_worklist(database, settings.storage).entries
    assert [written.kind for written in entry.objects] == ["SR"]


def test_the_timeline_ends_with_what_each_destination_got_and_keeps(
    settings: Settings, database: Database
) -> None:
    with database.transaction() as session:
        study = add_study(session)
        job = add_job(add_series(study, session), session, **done(Outcome.POSITIVE, 1))
        job.objects = [
            ResultObject(kind=kind, sop_instance_uid=uid, path=f"r/{uid}", sha256="")
            for kind, uid in (("SR", "1.8"), ("SC", "1.9"), ("SC", "1.10"))
        ]
        session.flush()
        for second, written in enumerate(job.objects):
            row = owed(study, written.sop_instance_uid, "PACS", DeliveryState.COMMITTED)
            row.object, row.sent_at = written, LATER + timedelta(seconds=second)
            row.committed_at = LATER + timedelta(minutes=1)
            session.add(row)
        message = owed(study, "M1", "RIS", DeliveryState.DELIVERED)
        message.sent_at = LATER + timedelta(seconds=30)
        session.add(message)
    found = read_explanation(database, settings.storage, "1.2.3")
    assert found is not None
    assert timeline(found)[-3:] == [
        (LATER + timedelta(seconds=2), "sent to PACS: SR, 2 SC"),
        (LATER + timedelta(seconds=30), "sent to RIS: message"),
        (LATER + timedelta(minutes=1), "PACS keeps: SR, 2 SC"),
    ]
