"""Whose images these are: two people are never joined, and one person is not taken for two.

A receiver of its own, real sends, selection and dispatch. What each object says of its patient is
invented.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import sqlalchemy as sa
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless

from receiver.metrics import read_waiting
from schema.database import Database, open_database
from schema.identity import IdentityChange
from schema.settings import Settings
from schema.states import JobState, Outcome, SeriesState, StudyState
from schema.tables import IdentityEvent, Job, Study
from tests.support.phantoms import Phantom, element, write
from tests.support.processes import Site, free_port, wait_for
from tests.support.receivers import echo_once
from tests.support.scu import CT, Scu, encode, image
from worklist.explaining import read_explanation
from worklist.serialization import explanation_json
from worklist.text import print_explanation

pytestmark = pytest.mark.slow  # starts a whole system

SLICES_MM = tuple(float(place) for place in range(-70, 71, 5))
WALTER = {"PatientID": "84711093", "PatientName": "Geheim^Walter", "PatientBirthDate": "19600102"}
FRIEDA = {"PatientID": "84712093", "PatientName": "Heimlich^Frieda", "PatientBirthDate": "19700304"}
NOBODY = {"PatientID": "TR-0815", "PatientName": "UNKNOWN^TRAUMA", "PatientBirthDate": ""}
OUTCOMES = {Outcome.POSITIVE, Outcome.NEGATIVE, Outcome.INDETERMINATE}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A hospital with a receiver; each test sends a study of its own."""
    folder = tmp_path_factory.mktemp("site")
    settings = Settings(
        _env_file=None, home=folder / "home", callers="*@127.0.0.0/8", dicom_port=free_port(),
        series_quiet_s=0.2, series_silence_s=30, sweep_s=0.05, lease_s=5, min_free_mb=0,
        acceptors=2,
    )  # fmt: skip
    database = open_database(settings)
    site = Site(settings, database, folder / "log")
    site.start_receiver()
    # The port is open before an acceptor is up, which takes a while on a busy machine.
    assert echo_once(("127.0.0.1", settings.dicom_port)) == "echoed"
    yield site
    site.stop()
    print(site.log.read_text())  # noqa: T201 - shown where a test failed
    database.engine.dispose()


def head(study: str, *, series: int = 1, **patient: str) -> list[Dataset]:
    """Scan a whole head as a series of a study."""
    given = {"ConvolutionKernel": "H31s", "SeriesInstanceUID": f"{study}.{series}"}
    # Small: nobody looks at the pixels before a worker does.
    scan = Phantom(SLICES_MM, size=32, spacing_mm=1.2, study=study, changes=given | patient)
    datasets = scan.datasets
    for number, ds in enumerate(datasets, 1):
        uid = f"{study}.{series}.{number}"
        ds["SOPInstanceUID"] = element("SOPInstanceUID", uid)
        ds.file_meta.MediaStorageSOPInstanceUID = uid
        ds["AcquisitionTime"] = element("AcquisitionTime", f"12{series:02d}{number:02d}")
    return datasets


def send(site: Site, datasets: Sequence[Dataset], folder: Path) -> None:
    """Push objects over one association; all of them are answered with a success."""
    assert set(site.send(write(datasets, folder))) == {0x0000}


def study_of(database: Database, uid: str) -> Study | None:
    """Read a study with its series and jobs."""
    with database.reading() as session:
        query = sa.select(Study).where(Study.study_instance_uid == uid)
        study = session.scalars(query).one_or_none()
        if study is not None:
            for series in study.series:
                assert series.jobs is not None
                assert series.instances is not None
    return study


def settled(site: Site, uid: str, instances: int) -> Study:
    """Wait until all of a study is catalogued and each series of it is decided."""

    def get() -> Study | None:
        study = study_of(site.database, uid)
        if study is None or sum(len(series.instances) for series in study.series) < instances:
            return None
        decided = all(series.state != SeriesState.RECEIVING for series in study.series)
        return study if decided else None

    return wait_for(f"decision on {uid}", get)


def events(database: Database, study: Study) -> list[IdentityEvent]:
    with database.reading() as session:
        query = sa.select(IdentityEvent).where(IdentityEvent.study_id == study.id)
        return list(session.scalars(query.order_by(IdentityEvent.id)))


def waiting(study: Study) -> list[Job]:
    """List the jobs that a worker would take."""
    return [job for series in study.series for job in series.jobs if job.state == JobState.READY]


def explained(site: Site, uid: str, capsys: pytest.CaptureFixture[str]) -> str:
    """Read what an operator is told of a study, as text and as JSON."""
    explanation = read_explanation(site.database, site.settings.storage, uid)
    assert explanation is not None
    print_explanation(explanation)
    return capsys.readouterr().out + json.dumps(explanation_json(explanation))


def assert_discreet(site: Site) -> None:
    """Nobody is named in the log."""
    log = site.log.read_text().lower()
    for secret in ("geheim", "heimlich", "84711093", "84712093", "tr-0815"):
        assert secret not in log


def test_two_patients_in_one_series_are_kept_flagged_and_not_analysed_as_one(
    site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mixed = [*head("1.2.10", **WALTER)[:15], *head("1.2.10", **FRIEDA)[15:]]
    send(site, mixed, tmp_path)
    study = settled(site, "1.2.10", len(mixed))
    assert (study.state, study.outcome) == (StudyState.DONE, Outcome.NOT_ANALYSED)
    assert not waiting(study)
    assert "two patients in one series" in str(study.reason)
    (event,) = events(site.database, study)
    assert event.kind == IdentityChange.MISMATCH
    assert {event.earlier["patient_id"], event.later["patient_id"]} == {"84711093", "84712093"}
    assert "two patients under one study" in site.log.read_text()
    told = explained(site, "1.2.10", capsys)
    assert "MISMATCH: 84711093 -> 84712093, patient ID, name, birth date differs" in told
    assert "Geheim" not in told
    with site.database.reading() as session:
        assert read_waiting(session).identities["MISMATCH"] >= 1
        assert read_waiting(session).mismatches_open >= 1
    assert_discreet(site)


def test_the_right_patient_sent_again_ends_a_mix_up(site: Site, tmp_path: Path) -> None:
    wrong = head("1.2.11", **FRIEDA)[15:]
    send(site, [*head("1.2.11", **WALTER)[:15], *wrong], tmp_path / "mixed")
    settled(site, "1.2.11", len(SLICES_MM))
    send(site, head("1.2.11", **WALTER)[15:], tmp_path / "right")
    study = settled(site, "1.2.11", len(SLICES_MM) + len(wrong))
    (event, *_) = events(site.database, study)
    assert event.resolved_at is not None
    assert study.identity_alert is None
    assert len(waiting(study)) == 1


def test_a_study_sent_again_under_another_patient_id_is_a_revision_with_both_on_record(
    site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    send(site, head("1.2.12", **WALTER), tmp_path / "1")
    before = settled(site, "1.2.12", len(SLICES_MM)).revision
    send(site, head("1.2.12", **FRIEDA), tmp_path / "2")
    study = settled(site, "1.2.12", 2 * len(SLICES_MM))
    assert study.revision > before
    assert (study.patient_id, study.patient_name) == ("84712093", "Heimlich^Frieda")
    assert [job.revision for job in waiting(study)] == [study.revision]
    (event,) = events(site.database, study)
    assert event.kind == IdentityChange.CORRECTED
    assert "CORRECTED: 84711093 -> 84712093" in explained(site, "1.2.12", capsys)
    assert "patient identity corrected" in site.log.read_text()
    assert_discreet(site)


def test_another_scan_under_the_same_uids_and_another_name_is_no_correction(
    site: Site, tmp_path: Path
) -> None:
    send(site, head("1.2.13", **WALTER), tmp_path / "1")
    settled(site, "1.2.13", len(SLICES_MM))
    others = head("1.2.13", **FRIEDA)
    for ds in others:
        ds.PixelData = ds.PixelData[2:] + b"\0\0"
    send(site, others, tmp_path / "2")
    study = settled(site, "1.2.13", 2 * len(SLICES_MM))
    assert study.patient_id == "84711093"
    assert not waiting(study)
    assert study.series[0].state == SeriesState.REJECTED
    assert [event.kind for event in events(site.database, study)] == [IdentityChange.MISMATCH]


def test_an_unknown_trauma_patient_is_analysed_at_once_and_the_name_that_comes_late_is_taken(
    site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    send(site, head("1.2.14", **NOBODY), tmp_path / "1")
    assert len(waiting(settled(site, "1.2.14", len(SLICES_MM)))) == 1
    send(site, head("1.2.14", series=2, **WALTER), tmp_path / "2")
    study = settled(site, "1.2.14", 2 * len(SLICES_MM))
    assert study.patient_id == "84711093"
    assert study.identity_alert is None
    assert all(series.score is not None for series in study.series)
    (event,) = events(site.database, study)
    assert event.kind == IdentityChange.COMPLETED
    assert "COMPLETED: TR-0815 -> 84711093" in explained(site, "1.2.14", capsys)
    assert_discreet(site)


def test_another_patient_in_a_series_of_the_study_leaves_the_first_ones_head_analysed(
    site: Site, tmp_path: Path
) -> None:
    send(site, head("1.2.15", **WALTER), tmp_path / "1")
    send(site, head("1.2.15", series=2, **FRIEDA), tmp_path / "2")
    study = settled(site, "1.2.15", 2 * len(SLICES_MM))
    own, strange = study.series
    assert (own.state, strange.state) == (SeriesState.SELECTED, SeriesState.REJECTED)
    assert "its patient is not the study's" in str(strange.reason)
    assert [job.series_id for job in waiting(study)] == [own.id]
    assert study.patient_id == "84711093"
    assert study.identity_alert


def test_one_patient_in_many_spellings_is_one_patient_and_nothing_is_flagged(
    site: Site, tmp_path: Path
) -> None:
    spellings = [
        {
            "PatientID": "00084711093",
            "PatientName": "Müller^Jörg^^Dr.",
            "PatientBirthDate": "19600102",
        },
        {"PatientID": "84711093 ", "PatientName": "MUELLER^JOERG", "PatientBirthDate": ""},
        {"PatientID": "84711093", "PatientName": "Muller^Jorg^^^", "PatientBirthDate": "19600102"},
    ]
    spelt = [head("1.2.16", **patient) for patient in spellings]
    datasets = [spelt[number % 3][number] for number in range(len(SLICES_MM))]
    send(site, datasets, tmp_path)
    study = settled(site, "1.2.16", len(datasets))
    assert len(waiting(study)) == 1
    assert study.identity_alert is None
    assert events(site.database, study) == []


def quarantined(site: Site) -> int:
    return len(list((site.settings.storage / "quarantine").glob("*")))


def store(site: Site, uid: str, encoded: bytes) -> int:
    """Send these very bytes as the object of this UID; give the status."""
    with Scu(("127.0.0.1", site.settings.dicom_port)) as scu:
        return scu.store(CT, uid, encoded)


def test_a_second_uid_behind_the_pixels_is_filed_nowhere(site: Site) -> None:
    ds = image("1.2.17.9", StudyInstanceUID="1.2.17", SeriesInstanceUID="1.2.17.1")
    ds.add_new("PixelData", "OW", bytes(64))
    smuggled = encode(image("1.2.666.1", StudyInstanceUID="1.2.666"))
    before = quarantined(site)
    store(site, "1.2.17.9", encode(ds) + smuggled)
    wait_for("quarantine", lambda: quarantined(site) > before)
    assert study_of(site.database, "1.2.666") is None
    assert study_of(site.database, "1.2.17") is None
    assert "ascending order" in site.log.read_text()


def test_elements_out_of_order_and_uids_that_were_not_announced_are_refused(site: Site) -> None:
    ds = image("1.2.18.9", StudyInstanceUID="1.2.18", SeriesInstanceUID="1.2.18.1")
    again = b"\x08\0\x18\0UI\x08\x001.2.18.9"
    assert store(site, "1.2.18.9", again + encode(ds)) == 0xC000
    assert store(site, "1.2.18.8", encode(ds)) == 0xA900
    assert study_of(site.database, "1.2.18") is None


def test_the_same_object_in_another_encoding_is_not_other_content(
    site: Site, tmp_path: Path
) -> None:
    send(site, head("1.2.19", **WALTER), tmp_path / "explicit")
    settled(site, "1.2.19", len(SLICES_MM))
    packed = head("1.2.19", **WALTER)
    for ds in packed:
        ds.compress(RLELossless, generate_instance_uid=False)
    send(site, packed, tmp_path / "packed")
    study = settled(site, "1.2.19", 2 * len(SLICES_MM))
    plain = head("1.2.19", **WALTER)
    for ds in plain:
        ds.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    send(site, plain, tmp_path / "implicit")
    study = settled(site, "1.2.19", 3 * len(SLICES_MM))
    assert study.revision == 1
    assert [job.revision for job in waiting(study)] == [1]
    assert events(site.database, study) == []
    assert "1.2.19" not in "".join(
        line for line in site.log.read_text().splitlines() if "other content" in line
    )
    syntaxes = {instance.transfer_syntax_uid for instance in study.series[0].instances}
    assert syntaxes == {ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless}
