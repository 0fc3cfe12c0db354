"""What the log says of whom the receiver turns away: who called, from where, and what to change."""

import re
import signal
from contextlib import suppress
from pathlib import Path

import pytest
import sqlalchemy as sa

from schema.database import Database
from schema.dicom import DimseStatus
from schema.settings import Settings
from schema.states import ProcessState
from schema.tables import Process, Rejection
from tests.support.deadline import DEADLINE_S
from tests.support.processes import site_of, wait_for
from tests.support.receivers import acceptors, echo_once
from tests.support.scu import CT, Address, Scu, encode, image

pytestmark = pytest.mark.slow  # starts acceptors, or a receiver, for each test

KEY = re.compile(r'(\w+)=("(?:[^"\\]|\\.)*"|\S*)')
ASKS = {"callers": "CT1@127.0.0.0/8,CT2@10.1.2.3"}


def logged(written: str, event: str) -> list[dict[str, str]]:
    """Give the lines of an event, each by its keys."""
    lines = [
        {key: value.strip('"') for key, value in KEY.findall(line)} for line in written.splitlines()
    ]
    return [line for line in lines if line.get("event") == event]


def associate(address: Address) -> Scu | None:
    """Open an association; None where it is rejected."""
    with suppress(ConnectionRefusedError):
        return Scu(address)
    return None


@pytest.mark.parametrize(
    ("calling", "called", "reason", "put_right"),
    [
        ("CT9", "IHSNET", "calling AE title not recognised", "add calling_ae@peer to TRIAGE_CALL"),
        ("CT2", "IHSNET", "calling AE title not recognised", "TRIAGE_CALLERS has this title from"),
        ("CT1", "TRIAGE", "called AE title not recognised", "have it call TRIAGE_AE_TITLE, or"),
    ],
)
def test_a_rejection_names_both_titles_the_peer_and_what_to_change(
    tmp_path: Path, capfd: pytest.CaptureFixture[str],
    calling: str, called: str, reason: str, put_right: str,
) -> None:  # fmt: skip
    with acceptors(tmp_path, **ASKS) as ports:
        capfd.readouterr()  # the bystander of the start
        echo_once(ports["plain"], calling, called)
    (line,) = logged(capfd.readouterr().err, "association rejected")
    assert (line["calling_ae"], line["called_ae"]) == (calling, called)
    assert (line["peer"], line["reason"]) == ("127.0.0.1", reason)
    assert line["put_right"].startswith(put_right)


@pytest.mark.parametrize(
    "setting", ["associations_per_peer", "associations_per_minute", "max_associations"]
)
def test_a_limit_that_is_exceeded_is_named_by_its_setting(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], setting: str
) -> None:
    with (
        acceptors(tmp_path, **{setting: 1}) as ports,
        # The place of the bystander of the start may be free a moment after its connection ended.
        wait_for("place", lambda: associate(ports["plain"])),
    ):
        assert echo_once(ports["plain"], "CT1").startswith("rejected 2.3")
    *_, line = logged(capfd.readouterr().err, "association rejected")
    assert line["reason"] == "local limit exceeded"
    assert f"TRIAGE_{setting.upper()}" in line["put_right"]


def test_a_refused_object_is_named_with_its_sender_by_uids_alone(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with acceptors(tmp_path) as ports, Scu(ports["plain"]) as scu:
        sent = encode(image("1.2.77"))
        assert scu.store(CT, "1.2.78", sent) == DimseStatus.DATASET_DOES_NOT_MATCH
        assert scu.store(CT, "Quillfeather", sent) == DimseStatus.CANNOT_UNDERSTAND
    written = capfd.readouterr().err
    first, second = logged(written, "object refused")
    assert (first["calling_ae"], first["called_ae"]) == ("CT1", "IHSNET")
    assert (first["peer"], first["status"]) == ("127.0.0.1", "0xA900")
    assert (first["sop_class_uid"], first["sop_instance_uid"]) == (CT, "1.2.78")
    assert first["reason"] == "dataset and C-STORE request name different objects"
    assert second["sop_instance_uid"] == "not a UID"
    assert "Quillfeather" not in written


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_whom_it_rejected_in_its_last_second_is_told_after_the_receiver_stopped(
    settings: Settings, database: Database, tmp_path: Path
) -> None:
    def is_ready() -> bool:
        with database.reading() as session:
            return session.scalar(sa.select(Process.state)) == ProcessState.READY

    with site_of(settings, database, tmp_path / "log") as site:
        receiver = site.start_receiver()
        wait_for("receiver that is ready", is_ready)
        echo_once(("127.0.0.1", site.settings.dicom_port), called="TRIAGE")
        receiver.send_signal(signal.SIGTERM)
        assert receiver.wait(DEADLINE_S) == 0
        site.parts.remove(receiver)
    with database.reading() as session:
        row = session.scalars(sa.select(Rejection)).one()
    assert (row.calling_ae, row.peer, row.count) == ("CT1", "127.0.0.1", 1)
