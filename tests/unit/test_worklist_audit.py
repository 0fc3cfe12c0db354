"""Audit messages by the schema of PS3.15 section A.5.1, in a file and over syslog."""

import re
import socket
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from schema.settings import Settings
from tests.support.audit_schema import faults
from worklist.access.audit import Act, Trail, What, audit_message, send_syslog

AT = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
OF_A_STUDY = {"study_instance_uid": "1.2.3", "patient_id": "049"}


@pytest.mark.parametrize("what", list(What))
@pytest.mark.parametrize("given", [{}, OF_A_STUDY, {"query": "<O'Hara & \u00c9>"}])
def test_every_message_meets_the_schema(what: What, given: dict[str, str]) -> None:
    assert faults(audit_message(Act(what, "anna", "10.0.0.7", **given), "IHSNET", AT)) == []


@pytest.mark.parametrize("worked", [True, False])
def test_a_failure_is_told_by_its_outcome(worked: bool) -> None:
    message = audit_message(Act(What.LOGIN, "anna", worked=worked), "IHSNET", AT)
    assert faults(message) == []
    assert f'EventOutcomeIndicator="{0 if worked else 4}"' in message


def test_the_schema_refuses_what_is_none_of_it() -> None:
    message = audit_message(Act(What.SEEN, "anna", **OF_A_STUDY), "IHSNET", AT)
    assert faults(re.sub("<ParticipantObjectName>[^<]*</ParticipantObjectName>", "", message))
    assert faults(message.replace('UserIsRequestor="true"', 'UserIsRequestor="yes"'))
    assert faults(message.replace("csd-code", "code"))


def test_what_was_searched_for_cannot_break_the_line(tmp_path: Path) -> None:
    trail = Trail(Settings(_env_file=None, home=tmp_path))
    trail.write(Act(What.LISTED, "anna", query='a"/>\n<AuditMessage>'))
    (line,) = (tmp_path / "audit.log").read_text(encoding="utf-8").splitlines()
    assert faults(line) == []


def test_the_page_does_not_start_where_its_trail_cannot_be_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "log").touch()  # a file is no folder, even for root
    trail = Trail(Settings(_env_file=None, home=tmp_path, audit_file=tmp_path / "log/audit.log"))
    trail.write(Act(What.SEEN, "anna"))  # once it runs, it goes on
    with pytest.raises(SystemExit):
        trail.write(Act(What.STARTED, "ihsnet-triage worklist"))
    said = capsys.readouterr().err
    assert f"TRIAGE_AUDIT_FILE: cannot write {tmp_path}/log/audit.log: " in said


def framed(packet: bytes) -> re.Match[bytes]:
    """Take a syslog message apart (RFC 5424 section 6)."""
    found = re.fullmatch(
        rb"<85>1 (\S+) (\S+) ihsnet-triage (\d+) DICOM\+RFC3881 - \xef\xbb\xbf(.*)",
        packet,
        re.DOTALL,
    )
    assert found
    return found


def test_a_message_goes_to_syslog_over_udp(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(30)
        address = f"udp://127.0.0.1:{server.getsockname()[1]}"
        Trail(Settings(_env_file=None, home=tmp_path, audit_syslog=address)).write(
            Act(What.ACKNOWLEDGED, "anna", **OF_A_STUDY)
        )
        found = framed(server.recv(65536))
    assert faults(found[4].decode()) == []
    assert datetime.fromisoformat(found[1].decode()).tzinfo is not None


def test_a_message_over_tcp_is_framed_by_its_octets() -> None:
    message = audit_message(Act(What.LOGIN, "\u00c9va"), "IHSNET", AT)
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(30)
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        sender = threading.Thread(target=send_syslog, args=(address, message))
        sender.start()
        connection, _ = server.accept()
        with connection, connection.makefile("rb") as stream:
            received = stream.read()
        sender.join()
    length, _, packet = received.partition(b" ")
    assert int(length) == len(packet)
    assert framed(packet)[4].decode() == message


def test_a_syslog_server_that_is_away_holds_up_nothing(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    away = Settings(_env_file=None, home=tmp_path, audit_syslog=f"tcp://127.0.0.1:{port}")
    Trail(away).write(Act(What.LOGIN, "anna"))
    assert (tmp_path / "audit.log").exists()
