"""From rows and files to decisions: what is chosen, in which order, and what comes afterwards."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs
from typer.testing import CliRunner

from receiver.__main__ import app
from receiver.completeness.assess import CompletenessTimeouts
from receiver.dispatch.order import load_order
from receiver.dispatch.planner import TRIES, Planner
from receiver.force import UnknownStudyError, failed_since, force
from receiver.instance.columns import header_column
from receiver.instance.geometry import axial_slice_position_mm
from receiver.instance.header import Header, read_header
from receiver.selection.images import Selection, select_images
from receiver.selection.rules import SelectionRules, load_rules
from schema.cut_short import CUT_SHORT
from schema.database import Database, open_database, read_clock
from schema.dicom import DimsePriority
from schema.errors import DatabaseUnavailableError
from schema.reason_words import UNDECIDED
from schema.settings import Settings
from schema.states import JobState, Outcome, SeriesState, StudyState
from schema.studies import update_study
from schema.tables import Announcement, Association, Instance, Job, Series, Study
from tests.support.rows import add_study, done
from tests.support.series import STUDY, datasets, write

AXIAL = "ORIGINAL\\PRIMARY\\AXIAL"
THICK = {"desc": "Head 5.0", "kernel": "H31s", "type": AXIAL}
THIN = {"desc": "Head 2.0", "kernel": "H31s", "type": AXIAL, "step_mm": 2.0, "count": 60}
BONE = {"desc": "Head bone", "kernel": "H70h", "type": AXIAL}
SCOUT = {"desc": "Topogram", "type": "ORIGINAL\\PRIMARY\\LOCALIZER", "count": 1}
DOSE = {"desc": "Dose", "sop": "SecondaryCaptureImageStorage", "count": 1}
FRIEDA = {"PatientID": "P2", "PatientName": "Fire^Frieda", "PatientBirthDate": "19700304"}


class Clinic:
    """A receiver's database and store, with series put there as if a scanner had sent them."""

    def __init__(self, settings: Settings, database: Database) -> None:
        patient = {"series_quiet_s": 5.0, "series_silence_s": 20.0}
        self.settings = settings.model_copy(update=patient)
        self.database = database
        self.rules = load_rules()
        self.planner = Planner.of(self.settings, database)

    def arrive(
        self, row: Mapping[str, Any], number: int = 1, ago_s: float = 6, first: int = 0, **more: Any
    ) -> int:
        """Store the instances of a series from `first` on; give the id of the series."""
        objects = datasets(row, number)[first:]
        folder = self.settings.storage / f"series{number}-{first}"
        paths = write(objects, folder)
        with self.database.transaction() as session:
            now = read_clock(session) - timedelta(seconds=ago_s)
            series = self._series(session, str(objects[0].SeriesInstanceUID), row["desc"], now)
            association = self._association(session, now, **more)
            for ds, path in zip(objects, paths, strict=True):
                header = read_header(path)
                session.add(
                    Instance(
                        series=series,
                        association=association,
                        sop_instance_uid=ds.SOPInstanceUID,
                        sop_class_uid=ds.SOPClassUID,
                        transfer_syntax_uid=ds.file_meta.TransferSyntaxUID,
                        path=str(path.relative_to(self.settings.storage)),
                        size_bytes=1,
                        sha256=ds.SOPInstanceUID,
                        received_at=now,
                        slice_position_mm=axial_slice_position_mm(header) or [],
                        header=header_column(header),
                    )
                )
            update_study(session, series.study)
            return series.id

    def _series(self, session: Any, uid: str, description: str, now: Any) -> Series:
        series = session.scalars(
            sa.select(Series).where(Series.series_instance_uid == uid)
        ).one_or_none()
        if series is None:
            study = session.scalars(sa.select(Study)).one_or_none() or add_study(session, STUDY)
            series = Series(
                study=study,
                series_instance_uid=uid,
                modality="CT",
                description=description,
                first_instance_at=now,
            )
        elif series.state != SeriesState.RECEIVING:
            series.state, series.revision = SeriesState.RECEIVING, series.revision + 1
        series.last_instance_at = now
        session.add(series)
        return series

    def _association(
        self, session: Any, now: Any, is_open: bool = False, aborted: bool = False
    ) -> Association:
        association = Association(
            name=f"{now.timestamp()}",
            calling_ae="CT1",
            peer="127.0.0.1",
            opened_at=now,
            aborted=aborted,
        )
        association.closed_at = None if is_open else now
        session.add(association)
        return association

    def end(self, series_id: int, outcome: Outcome, priority: int) -> None:
        """Let a worker end the newest job of a series."""
        with self.database.transaction() as session:
            series = session.get_one(Series, series_id)
            for name, value in done(outcome, priority).items():
                setattr(series.jobs[-1], name, value)
            series.jobs[-1].finished_at = read_clock(session)
            if outcome == Outcome.FAILED:
                series.jobs[-1].state = JobState.FAILED
            update_study(session, series.study)

    def series(self, series_id: int) -> Series:
        """Read a series with its jobs and instances."""
        with self.database.reading() as session:
            series = session.get_one(Series, series_id)
            _ = [series.jobs, series.instances, series.study]
            return series

    def study(self) -> Study:
        """Read the study."""
        with self.database.reading() as session:
            return session.scalars(sa.select(Study)).one()


@pytest.fixture
def clinic(tmp_path: Path) -> Iterator[Clinic]:
    """On SQLite; three tests ask for both databases, and run the queries of every kind."""
    settings = Settings(_env_file=None, home=tmp_path)
    database = open_database(settings)
    yield Clinic(settings, database)
    database.engine.dispose()


@pytest.fixture
def clinic_on_both(settings: Settings, database: Database) -> Clinic:
    return Clinic(settings, database)


def test_a_whole_series_becomes_a_job_that_says_why(clinic_on_both: Clinic) -> None:
    clinic = clinic_on_both
    head = clinic.arrive(THICK)
    assert clinic.planner.plan() == 1
    series = clinic.series(head)
    assert [job.state for job in series.jobs] == [JobState.READY]
    assert series.completed_by is not None
    assert "32 slices over 155 mm in steps of 5 mm" in series.completed_by
    assert series.selection_version == clinic.rules.versions
    assert "soft kernel H31s +6" in (series.reason or "")


def test_a_series_that_is_not_quiet_is_left_alone(clinic: Clinic) -> None:
    clinic.arrive(THICK, ago_s=4)
    assert clinic.planner.plan() == 0


def test_an_open_association_is_waited_for(clinic: Clinic) -> None:
    clinic.arrive(THICK, is_open=True)
    assert clinic.planner.plan() == 0


def test_a_series_that_an_abort_cut_short_says_so(clinic_on_both: Clinic) -> None:
    series_id = clinic_on_both.arrive(THICK, ago_s=21, aborted=True)
    clinic_on_both.planner.plan()
    series = clinic_on_both.series(series_id)
    assert series.cut_short
    assert CUT_SHORT in (series.reason or "")
    assert "its association was aborted" in (series.completed_by or "")


def test_what_comes_by_another_association_after_an_abort_is_not_cut_short(
    clinic_on_both: Clinic,
) -> None:
    series_id = clinic_on_both.arrive(THICK, ago_s=21, aborted=True)
    clinic_on_both.planner.plan()
    clinic_on_both.arrive(THICK | {"count": 40}, first=32)
    clinic_on_both.planner.plan()
    assert not clinic_on_both.series(series_id).cut_short


def break_off(clinic: Clinic, *, aborted: bool = True) -> None:
    """End all associations, as a dead network does a minute after its last image."""
    with clinic.database.transaction() as session:
        over = sa.update(Association).values(closed_at=read_clock(session), aborted=aborted)
        session.execute(over.where(Association.closed_at.is_(None)))


def test_a_series_whose_network_died_is_analysed_and_again_when_that_shows(
    clinic_on_both: Clinic,
) -> None:
    clinic = clinic_on_both
    head = clinic.arrive(THICK, ago_s=21, is_open=True)
    clinic.planner.plan()
    assert not clinic.series(head).cut_short
    assert clinic.planner.plan() == 0
    break_off(clinic)
    assert clinic.planner.plan() == 1
    series = clinic.series(head)
    assert (series.revision, series.cut_short) == (2, True)
    assert CUT_SHORT in (series.reason or "")
    assert [job.state for job in series.jobs] == [JobState.SUPERSEDED, JobState.READY]
    assert clinic.planner.plan() == 0


def test_a_series_that_broke_off_is_not_forgotten_while_the_database_is_away(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = clinic.arrive(THICK, ago_s=21, is_open=True)
    clinic.planner.plan()
    break_off(clinic)
    with monkeypatch.context() as patch:
        patch.setattr("receiver.dispatch.planner.update_study", _unavailable)
        with pytest.raises(DatabaseUnavailableError):
            clinic.planner.plan()
    clinic.planner.plan()
    assert clinic.series(head).cut_short


def _unavailable(*_: object) -> None:
    raise DatabaseUnavailableError("away")


def selecting_fails_on(number: int, patch: pytest.MonkeyPatch) -> None:
    """Let the selection raise on the series of this number."""

    def select(headers: Sequence[Header], rules: SelectionRules) -> Selection:
        if headers[0].identity.series_instance_uid == f"{STUDY}.{number}":
            raise IndexError
        return select_images(headers, rules)

    patch.setattr("receiver.dispatch.planner.select_images", select)


def test_a_series_on_which_deciding_fails_is_named_once_and_holds_up_no_other(
    clinic_on_both: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    clinic = clinic_on_both
    selecting_fails_on(1, monkeypatch)
    broken, head = clinic.arrive(SCOUT, 1), clinic.arrive(THICK, 2)
    with capture_logs() as lines:
        assert [clinic.planner.plan() for _ in range(TRIES - 1)] == [1, *[0] * (TRIES - 2)]
    assert [clinic.series(each).state for each in (broken, head)] == ["RECEIVING", "SELECTED"]
    (complaint,) = [line for line in lines if line["log_level"] == "error"]
    assert (complaint["study"], complaint["series"]) == (STUDY, f"{STUDY}.1")
    assert complaint["reason"].startswith("IndexError < test_receiver_planning.py")


def test_a_series_on_which_deciding_fails_for_good_is_refused_as_one_that_may_be_a_head(
    clinic_on_both: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    clinic = clinic_on_both
    broken, head = clinic.arrive(SCOUT, 1), clinic.arrive(THICK, 2)
    with monkeypatch.context() as patch:
        selecting_fails_on(1, patch)
        for _ in range(TRIES):
            clinic.planner.plan()
    assert clinic.series(broken).reason == UNDECIDED
    assert clinic.series(broken).completed_by == "every try to decide on it failed"
    clinic.end(head, Outcome.NEGATIVE, 4)
    assert clinic.study().outcome == Outcome.NOT_ANALYSED
    assert UNDECIDED in (clinic.study().reason or "")
    assert "image type LOCALIZER" in force(clinic.database, clinic.planner, STUDY, f"{STUDY}.1")
    assert clinic.study().outcome == Outcome.NEGATIVE


def test_a_database_that_is_away_is_no_fault_of_a_series(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = clinic.arrive(THICK)
    with monkeypatch.context() as patch:
        patch.setattr("receiver.dispatch.planner.update_study", _unavailable)
        for _ in range(TRIES + 1):
            with pytest.raises(DatabaseUnavailableError):
                clinic.planner.plan()
    assert clinic.planner.plan() == 1
    assert clinic.series(head).state == SeriesState.SELECTED


def test_a_series_that_cannot_be_opened_again_holds_up_no_other(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    clinic.arrive(THIN, ago_s=21, is_open=True)
    clinic.planner.plan()
    break_off(clinic)
    thick = clinic.arrive(THICK, 2)
    with monkeypatch.context() as patch, capture_logs() as lines:
        patch.setattr("receiver.dispatch.planner.reopen", _fail)
        assert clinic.planner.plan() == 1
    assert clinic.series(thick).state == SeriesState.SELECTED
    assert (lines[0]["study"], lines[0]["series"]) == (STUDY, f"{STUDY}.1")
    assert clinic.planner.plan() == 1


def _fail(*_: object) -> None:
    raise IndexError


def test_a_study_whose_second_choice_fails_is_named_once(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    clinic.arrive(THIN, 1)
    thick = clinic.arrive(THICK, 2)
    clinic.planner.plan()
    clinic.end(thick, Outcome.FAILED, 0)
    with monkeypatch.context() as patch, capture_logs() as lines:
        patch.setattr("receiver.dispatch.planner.reopen", _fail)
        assert [clinic.planner.fall_back() for _ in range(2)] == [0, 0]
    assert [(line["event"], line["study"]) for line in lines] == [
        ("study gets no second choice", STUDY)
    ]
    assert clinic.planner.fall_back() == 1


def test_a_series_that_was_deleted_after_it_broke_off_holds_up_nobody(clinic: Clinic) -> None:
    clinic.arrive(THICK, ago_s=21, is_open=True)
    clinic.planner.plan()
    break_off(clinic)
    with clinic.database.transaction() as session:
        for table in (Job, Instance, Series):
            session.execute(sa.delete(table))
    assert clinic.planner.plan() == 0


def test_a_release_after_the_decision_changes_nothing(clinic: Clinic) -> None:
    head = clinic.arrive(THICK, ago_s=21, is_open=True)
    clinic.planner.plan()
    break_off(clinic, aborted=False)
    assert clinic.planner.plan() == 0
    assert clinic.series(head).revision == 1


def test_an_abort_cuts_short_the_last_series_of_its_association_alone(clinic: Clinic) -> None:
    first = clinic.arrive(THICK, ago_s=60, is_open=True)
    clinic.planner.plan()
    second = clinic.arrive(BONE, 2, ago_s=21, is_open=True)
    with clinic.database.transaction() as session:  # over one association
        (association, _) = session.scalars(sa.select(Association).order_by(Association.id))
        for instance in session.get_one(Series, second).instances:
            instance.association = association
    clinic.planner.plan()
    break_off(clinic)
    clinic.planner.plan()
    assert [clinic.series(each).cut_short for each in (first, second)] == [False, True]


def test_a_series_with_a_gap_is_waited_for_and_then_analysed(clinic: Clinic) -> None:
    gap = THICK | {"slice_position_mm": [place * 5.0 for place in range(33) if place != 9]}
    head = clinic.arrive(gap, ago_s=19)
    assert clinic.planner.plan() == 0
    with clinic.database.transaction() as session:
        session.get_one(Series, head).last_instance_at -= timedelta(seconds=3)
    assert clinic.planner.plan() == 1
    assert "is a gap or uneven" in (clinic.series(head).completed_by or "")


def test_the_files_of_a_waiting_series_are_read_once(clinic: Clinic) -> None:
    clinic.arrive(THICK, is_open=True)
    clinic.planner.plan()
    for path in clinic.settings.storage.rglob("*.dcm"):
        path.unlink()
    assert clinic.planner.plan() == 0


def test_a_series_of_more_objects_than_any_head_has_is_refused_unread(clinic: Clinic) -> None:
    head = clinic.arrive(THICK)
    stack = clinic.rules.stack.model_copy(update={"max_objects": 31})
    rules = clinic.rules.model_copy(update={"stack": stack})
    for path in clinic.settings.storage.rglob("*.dcm"):
        path.unlink()
    timeouts = CompletenessTimeouts.of(clinic.settings)
    Planner(clinic.database, timeouts, rules, load_order()).plan()
    assert clinic.series(head).reason == "32 objects, more than a head CT has"


def test_a_scout_needs_no_slices_to_be_whole(clinic: Clinic) -> None:
    scout = clinic.arrive(SCOUT)
    assert clinic.planner.plan() == 1
    assert clinic.series(scout).reason == "image type LOCALIZER"
    assert clinic.study().outcome == Outcome.NOT_ANALYSED


def test_an_announced_count_is_waited_for_although_all_looks_whole(clinic_on_both: Clinic) -> None:
    clinic = clinic_on_both
    head = clinic.arrive(THICK)
    with clinic.database.transaction() as session:
        session.add(
            Announcement(
                study_instance_uid=STUDY,
                series_instance_uid=f"{STUDY}.1",
                source="MPPS",
                ae_title="CT1",
                instances=2,
                sop_instance_uids=[f"{STUDY}.1.1", "1.2.3"],
                announced_at=read_clock(session),
            )
        )
    assert clinic.planner.plan() == 0
    with clinic.database.transaction() as session:
        session.scalars(sa.select(Announcement)).one().sop_instance_uids = [f"{STUDY}.1.1"]
        session.scalars(sa.select(Announcement)).one().instances = 1
    assert clinic.planner.plan() == 1
    assert clinic.series(head).completed_by == "MPPS of CT1: all 1 are here; quiet for 5 s"


@pytest.mark.parametrize("order", [(THICK, THIN), (THIN, THICK)])
def test_the_better_series_decides_in_either_order(clinic: Clinic, order: Any) -> None:
    ids = {}
    for number, row in enumerate(order, 1):
        ids[row["desc"]] = clinic.arrive(row, number)
        clinic.planner.plan()
    best, worse = clinic.series(ids["Head 5.0"]), clinic.series(ids["Head 2.0"])
    assert [job.state for job in best.jobs] == [JobState.READY]
    assert not [job for job in worse.jobs if job.state == JobState.READY]
    assert "scored" in (worse.reason or "")


@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
def test_both_halves_of_a_head_are_analysed_in_either_order(clinic: Clinic, order: Any) -> None:
    halves = {
        1: THICK | {"count": 16, "slice_position_mm": [index * 5.0 for index in range(16)]},
        2: THICK | {"count": 15, "slice_position_mm": [80 + index * 5.0 for index in range(15)]},
    }
    ids = []
    for number in order:
        ids.append(clinic.arrive(halves[number], number, ago_s=25))
        clinic.planner.plan()
    assert [[job.state for job in clinic.series(series_id).jobs] for series_id in ids] == [
        [JobState.READY]
    ] * 2


@pytest.mark.parametrize("order", [("080000", "140000"), ("140000", "080000")])
def test_two_scans_of_one_study_are_analysed_each_with_its_time(
    clinic: Clinic, order: tuple[str, str]
) -> None:
    for number, at in enumerate(order, 1):
        series = clinic.arrive(THICK | {"attributes": scanned(at)}, number)
        clinic.planner.plan()
        assert [job.state for job in clinic.series(series).jobs] == [JobState.READY]
        assert f"scanned at {at[:2]}:00:00" in (clinic.series(series).reason or "")


@pytest.mark.parametrize(
    "labels",
    [
        {"agent": "OMNIPAQUE 350"},
        {"desc": "Delayed head", "agent": "VISIPAQUE"},
        {"desc": "Head post ICP monitoring"},
        {"desc": "Portable head", "kernel": "", "type": "DERIVED\\PRIMARY\\AXIAL"},
        {"desc": "AX HEAD 5MM 3D", "type": "DERIVED\\SECONDARY\\REFORMATTED\\AVERAGE"},
    ],
    ids=["agent stamped", "delayed", "monitoring", "re-sent by an archive", "an average, 3D"],
)
def test_no_word_keeps_the_control_of_that_evening_from_being_read(
    clinic: Clinic, labels: dict[str, str]
) -> None:
    morning = clinic.arrive(THICK | {"attributes": scanned("080000")}, 1)
    clinic.planner.plan()
    clinic.end(morning, Outcome.NEGATIVE, 4)
    control = clinic.arrive(THICK | labels | {"attributes": scanned("200000")}, 2)
    clinic.planner.plan()
    assert [job.state for job in clinic.series(control).jobs] == [JobState.READY]


def test_a_control_in_bone_alone_leaves_no_study_negative(clinic: Clinic) -> None:
    morning = clinic.arrive(THICK | {"attributes": scanned("080000")}, 1)
    clinic.planner.plan()
    clinic.end(morning, Outcome.NEGATIVE, 4)
    clinic.arrive(BONE | {"attributes": scanned("080000")}, 2)
    clinic.planner.plan()
    assert clinic.study().outcome == Outcome.NEGATIVE
    clinic.arrive(BONE | {"attributes": scanned("200000")}, 3)
    clinic.planner.plan()
    assert clinic.study().outcome == Outcome.NOT_ANALYSED
    assert "sharp kernel" in (clinic.study().reason or "")


def scanned(at: str) -> dict[str, str]:
    return {"AcquisitionDate": "20260101", "AcquisitionTime": at}


def test_a_worse_series_does_not_wait_for_a_better_one_that_still_comes(clinic: Clinic) -> None:
    thin = clinic.arrive(THIN, 1)
    clinic.arrive(THICK, 2, ago_s=1, is_open=True)
    clinic.planner.plan()
    assert [job.state for job in clinic.series(thin).jobs] == [JobState.READY]


def test_a_worse_series_that_a_worker_began_goes_on(clinic: Clinic) -> None:
    thin = clinic.arrive(THIN, 1)
    clinic.planner.plan()
    with clinic.database.transaction() as session:
        job = session.get_one(Series, thin).jobs[0]
        job.state, job.attempts = JobState.RUNNING, 1
    clinic.arrive(THICK, 2)
    clinic.planner.plan()
    assert [job.state for job in clinic.series(thin).jobs] == [JobState.RUNNING]


@pytest.mark.parametrize(
    ("thin", "thick", "shown"),
    [
        ((Outcome.POSITIVE, 1), (Outcome.NEGATIVE, 4), (Outcome.POSITIVE, 1)),
        ((Outcome.NEGATIVE, 4), (Outcome.POSITIVE, 2), (Outcome.POSITIVE, 2)),
        ((Outcome.POSITIVE, 2), (Outcome.POSITIVE, 1), (Outcome.POSITIVE, 1)),
        ((Outcome.NEGATIVE, 4), (Outcome.NEGATIVE, 4), (Outcome.NEGATIVE, 4)),
    ],
)
def test_the_study_shows_the_more_urgent_of_two(
    clinic: Clinic, thin: Any, thick: Any, shown: Any
) -> None:
    first = clinic.arrive(THIN, 1)
    clinic.planner.plan()
    clinic.end(first, *thin)
    second = clinic.arrive(THICK, 2)
    clinic.planner.plan()
    clinic.end(second, *thick)
    assert (clinic.study().outcome, clinic.study().priority) == shown


@pytest.mark.parametrize("own", [0, 26])
def test_none_found_does_not_stand_beside_a_control_with_images_of_another_patient(
    clinic: Clinic, own: int
) -> None:
    first = clinic.arrive(THICK)
    assert clinic.planner.plan() == 1
    clinic.end(first, Outcome.NEGATIVE, 4)
    control = THICK | {"desc": "control"}
    if own:
        clinic.arrive(control | {"count": own}, 2)
    clinic.arrive(control | {"attributes": FRIEDA}, 2, first=own)
    assert clinic.planner.plan() == 1
    assert clinic.study().outcome == Outcome.NOT_ANALYSED
    assert "series ..." in str(clinic.study().reason)


def test_another_patients_report_takes_none_found_from_nobody(clinic: Clinic) -> None:
    first = clinic.arrive(THICK)
    assert clinic.planner.plan() == 1
    clinic.end(first, Outcome.NEGATIVE, 4)
    clinic.arrive(DOSE | {"attributes": FRIEDA}, 2)
    assert clinic.planner.plan() == 1
    assert clinic.study().outcome == Outcome.NEGATIVE


def test_a_bone_series_that_is_ready_first_blocks_nothing(clinic: Clinic) -> None:
    clinic.arrive(BONE, 1)
    clinic.planner.plan()
    head = clinic.arrive(THICK, 2)
    clinic.planner.plan()
    assert clinic.series(head).state == SeriesState.SELECTED


def test_late_instances_make_a_new_run_and_the_priority_only_rises(clinic: Clinic) -> None:
    head = clinic.arrive(THICK | {"count": 24})
    clinic.planner.plan()
    clinic.end(head, Outcome.POSITIVE, 2)
    clinic.arrive(THICK, first=24)
    assert clinic.planner.plan() == 1
    assert [job.revision for job in clinic.series(head).jobs] == [1, 2]
    assert clinic.study().priority == 2
    clinic.end(head, Outcome.NEGATIVE, 4)
    assert (clinic.study().outcome, clinic.study().priority) == (Outcome.NEGATIVE, 2)


def test_late_instances_are_waited_for_until_their_association_is_over(clinic: Clinic) -> None:
    head = clinic.arrive(THICK | {"count": 24}, ago_s=3600)
    clinic.planner.plan()
    clinic.end(head, Outcome.POSITIVE, 2)
    clinic.arrive(THICK | {"count": 26}, first=24, ago_s=1, is_open=True)
    assert clinic.planner.plan() == 0
    assert clinic.series(head).state == SeriesState.RECEIVING


def test_what_is_left_out_is_not_read_by_the_worker(clinic: Clinic) -> None:
    head = clinic.arrive(THICK)
    clinic.arrive(THICK | {"plane": "sagittal", "count": 33}, first=32)
    clinic.planner.plan()
    with clinic.database.reading() as session:
        series = session.get_one(Series, head)
        assert len(series.newest_instances()) == 33
        assert len(series.analysed_instances()) == 32


def test_deciding_on_a_series_opens_none_of_its_files(clinic: Clinic) -> None:
    head = clinic.arrive(THICK)
    shutil.rmtree(clinic.settings.storage / "series1-0")
    clinic.planner.plan()
    assert clinic.series(head).state == SeriesState.SELECTED


def test_the_next_best_series_is_analysed_when_the_best_one_fails(clinic_on_both: Clinic) -> None:
    clinic = clinic_on_both
    head = clinic.arrive(THICK, 1)
    clinic.planner.plan()
    thin = clinic.arrive(THIN, 2)
    clinic.planner.plan()
    assert clinic.planner.fall_back() == 0
    clinic.end(head, Outcome.FAILED, 0)
    assert clinic.planner.fall_back() == 1
    assert [job.state for job in clinic.series(thin).jobs] == [JobState.READY]
    assert clinic.series(thin).completed_by == "second choice: because FAILED"
    clinic.end(thin, Outcome.POSITIVE, 1)
    assert (clinic.study().outcome, clinic.study().priority) == (Outcome.POSITIVE, 1)


def test_a_series_that_its_images_ruled_out_keeps_no_other_from_its_turn(clinic: Clinic) -> None:
    enhanced = clinic.arrive(THICK, 1)
    clinic.planner.plan()
    clinic.end(enhanced, Outcome.NOT_ANALYSED, 0)
    thin = clinic.arrive(THIN, 2)
    clinic.planner.plan()
    assert [job.state for job in clinic.series(thin).jobs] == [JobState.READY]


def test_a_series_is_the_second_choice_once(clinic: Clinic) -> None:
    ids = [clinic.arrive(THICK, 1), clinic.arrive(THIN, 2)]
    clinic.planner.plan()
    clinic.end(ids[0], Outcome.FAILED, 0)
    assert clinic.planner.fall_back() == 1
    clinic.end(ids[1], Outcome.FAILED, 0)
    assert clinic.planner.fall_back() == 0
    assert clinic.study().outcome == Outcome.FAILED


def test_force_decides_without_waiting(clinic: Clinic) -> None:
    clinic.arrive(THICK, ago_s=0, is_open=True)
    said = force(clinic.database, clinic.planner, STUDY, None)
    assert said.startswith(f"study {STUDY}: series 'Head 5.0' selected for analysis as revision 1")
    assert "\n" not in said
    assert clinic.study().state == StudyState.READY


def test_force_opens_a_failed_study_for_another_run(clinic: Clinic) -> None:
    head = clinic.arrive(THICK)
    clinic.planner.plan()
    clinic.end(head, Outcome.FAILED, 0)
    assert "as revision 2" in force(clinic.database, clinic.planner, STUDY, None)
    series = clinic.series(head)
    assert [job.state for job in series.jobs] == [JobState.FAILED, JobState.READY]
    assert series.completed_by == "forced by an operator"


def test_force_refuses_at_once_a_series_on_which_deciding_fails_and_says_why(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    clinic.arrive(SCOUT, 1)
    clinic.arrive(THICK, 2)
    selecting_fails_on(1, monkeypatch)
    said = force(clinic.database, clinic.planner, STUDY, None)
    assert f"series 'Topogram' rejected as revision 1 ({UNDECIDED}); series 'Head 5.0'" in said
    assert "'Head 5.0' selected for analysis as revision 1" in said


def test_force_judges_an_unread_study_again(clinic: Clinic) -> None:
    clinic.arrive(BONE)
    clinic.planner.plan()
    said = force(clinic.database, clinic.planner, STUDY, None)
    assert "rejected as revision 2 (sharp kernel H70h)" in said
    assert clinic.study().outcome == Outcome.NOT_ANALYSED


def test_force_leaves_a_result_alone(clinic: Clinic) -> None:
    head = clinic.arrive(THICK)
    clinic.planner.plan()
    assert "waits for a worker" in force(clinic.database, clinic.planner, STUDY, None)
    clinic.end(head, Outcome.NEGATIVE, 4)
    said = force(clinic.database, clinic.planner, STUDY, None)
    assert said == f"study {STUDY}: nothing to do, its outcome NEGATIVE stands"
    assert len(clinic.series(head).jobs) == 1


def test_force_runs_a_named_series_even_if_another_scored_more(clinic: Clinic) -> None:
    clinic.arrive(THICK, 1)
    clinic.planner.plan()
    thin = clinic.arrive(THIN, 2)
    clinic.planner.plan()
    force(clinic.database, clinic.planner, STUDY, f"{STUDY}.2")
    assert [job.state for job in clinic.series(thin).jobs] == [JobState.READY]


@pytest.mark.parametrize("uids", [("1.2.3.4.5", None), (STUDY, "1.2.3.4.5")])
def test_force_names_what_it_does_not_know(clinic: Clinic, uids: tuple[str, str | None]) -> None:
    clinic.arrive(THICK)
    with pytest.raises(UnknownStudyError, match=r"1\.2\.3\.4\.5"):
        force(clinic.database, clinic.planner, *uids)


def test_a_restart_forgets_no_clock(clinic: Clinic) -> None:
    clinic.arrive(THICK, ago_s=30)
    patient, later = (
        Planner.of(clinic.settings.model_copy(update={"series_quiet_s": quiet_s}), clinic.database)
        for quiet_s in (300.0, 3.0)
    )
    assert patient.plan() == 0
    assert later.plan() == 1


def test_jobs_are_made_once_by_two_receivers(clinic: Clinic) -> None:
    head = clinic.arrive(THICK)
    other = Planner.of(clinic.settings, clinic.database)
    assert clinic.planner.decide(head, "first")
    assert not other.decide(head, "second")
    with clinic.database.reading() as session:
        assert len(session.scalars(sa.select(Job)).all()) == 1


def test_force_finds_all_that_failed_since_a_time_and_for_a_reason(clinic: Clinic) -> None:
    head = clinic.arrive(THICK)
    clinic.planner.plan()
    clinic.end(head, Outcome.FAILED, 0)  # "because FAILED"
    ended = clinic.study().finished_at
    assert ended is not None
    second = timedelta(seconds=1)
    assert failed_since(clinic.database, ended - second, None) == [STUDY]
    assert failed_since(clinic.database, ended + second, None) == []
    assert failed_since(clinic.database, ended - second, "because failed") == [STUDY]
    assert failed_since(clinic.database, ended - second, "%") == []


@pytest.mark.parametrize(
    "arguments",
    [[], ["--failed"], ["--since", "2026-01-01"], ["1.2.3", "--failed", "--since", "2026-01-01"]],
)
def test_force_wants_one_study_or_all_that_failed_since_a_time(arguments: list[str]) -> None:
    answer = CliRunner().invoke(app, ["force", *arguments])
    assert answer.exit_code == 2
    assert "--failed with --since" in answer.output


def test_force_opens_all_that_failed(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    head = clinic.arrive(THICK)
    clinic.planner.plan()
    clinic.end(head, Outcome.FAILED, 0)
    monkeypatch.setattr("receiver.__main__.settings_or_exit", lambda: clinic.settings)
    answer = CliRunner().invoke(app, ["force", "--failed", "--since", "2020-01-01T00:00"])
    assert answer.output.splitlines()[-1] == "1 opened, 0 left"
    assert clinic.study().state == StudyState.READY


def test_a_job_has_the_points_of_how_its_series_was_sent(clinic: Clinic) -> None:
    head = clinic.arrive(THICK)
    with clinic.database.transaction() as session:
        for instance in session.get_one(Series, head).instances:
            instance.dimse_priority = DimsePriority.HIGH
    clinic.planner.plan()
    (job,) = clinic.series(head).jobs
    says = [reason["says"] for reason in (job.weighed or {})["reasons"]]
    assert "DIMSE priority HIGH" in says
    assert job.weight == sum(reason["points"] for reason in (job.weighed or {})["reasons"])
    assert job.overdue_at == job.created_at + timedelta(minutes=30)


def test_a_second_choice_keeps_the_points_of_its_study(clinic: Clinic) -> None:
    first = clinic.arrive(THICK, 1)
    second = clinic.arrive(THIN, 2)
    with clinic.database.transaction() as session:
        session.scalars(sa.select(Study)).one().station_name = "ER1"
    order = load_order().model_copy(update={"station": {"ER*": 60.0}})
    timeouts = CompletenessTimeouts.of(clinic.settings)
    planner = Planner(clinic.database, timeouts, clinic.rules, order)
    planner.plan()
    clinic.end(first, Outcome.FAILED, 0)
    assert planner.fall_back() == 1
    assert [job.weight for job in clinic.series(second).jobs if job.state == JobState.READY] == [60]
