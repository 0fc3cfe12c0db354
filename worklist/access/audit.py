"""The audit trail: DICOM Audit Messages (PS3.15 section A.5) to a file and to syslog."""

import os
import socket
import threading
from base64 import b64encode
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit
from xml.etree.ElementTree import Element, SubElement, tostring

import structlog

from schema.errors import SettingsError
from schema.settings import Settings, stop
from worklist.formatting import printable

log = structlog.get_logger()
SYSLOG_PRIORITY = 10 * 8 + 5  # facility security (authpriv), severity notice: RFC 5424
SYSLOG_TIMEOUT_S = 2


@dataclass(frozen=True)
class Coded:
    """A code with its scheme."""

    code: str
    text: str
    scheme: str = "DCM"


class What(Enum):
    """What happened: event, its type if it has one, and the action code."""

    STARTED = (Coded("110100", "Application Activity"), Coded("110120", "Application Start"), "E")
    STOPPED = (Coded("110100", "Application Activity"), Coded("110121", "Application Stop"), "E")
    LOGIN = (Coded("110114", "User Authentication"), Coded("110122", "Login"), "E")
    LOGOUT = (Coded("110114", "User Authentication"), Coded("110123", "Logout"), "E")
    LISTED = (Coded("110112", "Query"), Coded("LIST", "List shown", "99IHSNET"), "E")
    SEEN = (Coded("110103", "DICOM Instances Accessed"), None, "R")
    ACKNOWLEDGED = (
        Coded("110103", "DICOM Instances Accessed"),
        Coded("ACKNOWLEDGED", "Result acknowledged", "99IHSNET"),
        "U",
    )
    TAKEN_BACK = (
        Coded("110103", "DICOM Instances Accessed"),
        Coded("TAKEN_BACK", "Acknowledgement taken back", "99IHSNET"),
        "U",
    )
    AGREED = (
        Coded("110103", "DICOM Instances Accessed"),
        Coded("AGREED", "Reader agreed with the result", "99IHSNET"),
        "U",
    )
    DISAGREED = (
        Coded("110103", "DICOM Instances Accessed"),
        Coded("DISAGREED", "Reader disagreed with the result", "99IHSNET"),
        "U",
    )
    EXPORTED = (Coded("110106", "Export"), Coded("VERDICTS", "Readers' verdicts", "99IHSNET"), "R")


@dataclass(frozen=True)
class Act:
    """One thing that somebody did.

    Attributes
    ----------
    study_instance_uid, patient_id
        Of the study that it was done to; empty if to none.
    query
        What was searched for.
    """

    what: What
    who: str
    address: str = ""
    worked: bool = True
    study_instance_uid: str = ""
    patient_id: str = ""
    query: str = ""


class Trail:
    """Writes what happened; a trail that can't be written is logged, and the page goes on.

    But it does not begin without one: the start of the page is the first line.
    """

    def __init__(self, settings: Settings) -> None:
        self._file = settings.audit
        self._syslog = settings.audit_syslog
        self._source = settings.ae_title.strip()
        self._lock = threading.Lock()

    def write(self, act: Act) -> None:
        """Write one message, as a line of the file and as a syslog message."""
        message = audit_message(act, self._source, datetime.now(UTC))
        try:
            with self._lock:
                _append(self._file, message)
        except OSError as error:
            if act.what is What.STARTED:
                _refuse(self._file, error)
            log.error("audit_file_failed", file=str(self._file), error=error.strerror)
        if self._syslog:
            try:
                send_syslog(self._syslog, message)
            except OSError as error:
                log.error("audit_syslog_failed", to=self._syslog, error=str(error))


def audit_message(act: Act, source: str, at: datetime) -> str:
    """Write an act as an AuditMessage of PS3.15 section A.5.1, on one line."""
    event, kind, action = act.what.value
    root = Element("AuditMessage")
    identification = SubElement(
        root,
        "EventIdentification",
        EventActionCode=action,
        EventDateTime=at.isoformat(timespec="milliseconds"),
        EventOutcomeIndicator="0" if act.worked else "4",  # 4: minor failure
    )
    _add_code(identification, "EventID", event)
    if kind:
        _add_code(identification, "EventTypeCode", kind)
    _add_participant(root, act)
    SubElement(root, "AuditSourceIdentification", AuditSourceID=source)
    _add_objects(root, act)
    return tostring(root, encoding="unicode")


def _add_participant(root: Element, act: Act) -> None:
    participant = SubElement(
        root, "ActiveParticipant", UserID=printable(act.who), UserIsRequestor="true"
    )
    if act.address:
        participant.set("NetworkAccessPointID", printable(act.address))
        participant.set("NetworkAccessPointTypeCode", "2")  # an IP address
    if act.what in (What.STARTED, What.STOPPED):
        _add_code(participant, "RoleIDCode", Coded("110150", "Application"))


def _add_objects(root: Element, act: Act) -> None:
    if act.study_instance_uid:
        study = SubElement(
            root,
            "ParticipantObjectIdentification",
            ParticipantObjectID=printable(act.study_instance_uid),
            ParticipantObjectTypeCode="2",  # system object
            ParticipantObjectTypeCodeRole="3",  # report
        )
        _add_code(study, "ParticipantObjectIDTypeCode", Coded("110180", "Study Instance UID"))
        SubElement(study, "ParticipantObjectName").text = printable(act.study_instance_uid)
    if act.study_instance_uid or act.patient_id:
        patient = SubElement(
            root,
            "ParticipantObjectIdentification",
            ParticipantObjectID=printable(act.patient_id),
            ParticipantObjectTypeCode="1",  # person
            ParticipantObjectTypeCodeRole="1",  # patient
        )
        code = Coded("2", "Patient Number", "RFC-3881")
        _add_code(patient, "ParticipantObjectIDTypeCode", code)
        # The schema wants a name; the ID says whose it is without one.
        SubElement(patient, "ParticipantObjectName").text = printable(act.patient_id)
    if act.query:
        asked = SubElement(
            root,
            "ParticipantObjectIdentification",
            ParticipantObjectID="worklist",
            ParticipantObjectTypeCode="2",
            ParticipantObjectTypeCodeRole="24",  # query
        )
        code = Coded("10", "Search Criteria", "RFC-3881")
        _add_code(asked, "ParticipantObjectIDTypeCode", code)
        query = b64encode(act.query.encode()).decode()  # xsd:base64Binary, whatever it holds
        SubElement(asked, "ParticipantObjectQuery").text = query


def _add_code(parent: Element, name: str, code: Coded) -> None:
    given = {"csd-code": code.code, "codeSystemName": code.scheme, "originalText": code.text}
    SubElement(parent, name, given)


def _refuse(file: Path, error: OSError) -> NoReturn:
    stop(
        SettingsError(
            f"TRIAGE_AUDIT_FILE: cannot write {file}: {error.strerror}; name a file in a folder "
            "that the page may write to, under systemd /var/log/ihsnet/audit.log"
        )
    )


def _append(file: Path, message: str) -> None:
    """Append a line; opened anew each time, so that a rotated file is let go of."""
    file.parent.mkdir(parents=True, exist_ok=True)
    opened = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)  # it names patients
    try:
        os.write(opened, message.encode() + b"\n")
    finally:
        os.close(opened)


def send_syslog(target: str, message: str) -> None:
    """Send one message as RFC 5424 wants it (PS3.15 section A.6); TCP frames count octets."""
    parts = urlsplit(target)
    at = datetime.now(UTC).isoformat(timespec="milliseconds")
    head = f"<{SYSLOG_PRIORITY}>1 {at} {socket.gethostname()} ihsnet-triage {os.getpid()}"
    packet = f"{head} DICOM+RFC3881 - \ufeff{message}".encode()
    to = (parts.hostname or "", parts.port or 0)
    if parts.scheme == "udp":
        family = socket.getaddrinfo(*to, type=socket.SOCK_DGRAM)[0][0]
        with socket.socket(family, socket.SOCK_DGRAM) as sender:
            sender.sendto(packet, to)
        return
    with socket.create_connection(to, SYSLOG_TIMEOUT_S) as stream:
        stream.sendall(f"{len(packet)} ".encode() + packet)
