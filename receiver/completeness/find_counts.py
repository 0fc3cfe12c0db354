"""Ask the sender how many instances a series has: C-FIND on the series level (PS3.4 annex C)."""

import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import structlog
from pydicom.dataset import Dataset
from pynetdicom import AE
from pynetdicom.association import Association as DicomAssociation
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StudyRootQueryRetrieveInformationModelFind,
)
from sqlalchemy import select
from sqlalchemy.orm import Session

from receiver.access.tls import TlsFiles, requestor_context
from receiver.completeness.announcements import CountSource, note_count
from receiver.protocol.values import number
from schema.database import Database, read_clock
from schema.dicom import MATCHES, DimseStatus
from schema.errors import TransientError
from schema.peers import PeerAddress
from schema.requestor import spare_responses
from schema.settings import Settings
from schema.states import SeriesState
from schema.tables import Announcement, Association, Instance, Series, Study

log = structlog.get_logger()

TIMEOUT_S: Final = 5.0  # a sender that answers later is no help: the silence decides by then


class CountUnavailableError(TransientError):
    """A sender could not be asked how many instances a series has; silence decides instead."""


@dataclass(frozen=True)
class Question:
    """A series that a sender who answers queries has delivered to us."""

    study_instance_uid: str
    series_instance_uid: str
    peer: PeerAddress


class Counter:
    """Asks about every series that falls quiet, half-way through its quiet period."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings = settings
        self._database = database
        self._peers = {peer.ae_title: peer for peer in settings.count_peers or ()}
        self._silent_until: dict[str, float] = {}
        files = TlsFiles.of(settings)
        self._tls = None if files is None else requestor_context(files)

    def ask_due(self) -> int:
        """Ask about what is quiet and has no answer since; return how many counts came."""
        with self._database.reading() as session:
            questions = self.due(session)
        return sum(self._ask(question) for question in questions)

    def due(self, session: Session) -> list[Question]:
        """List what is quiet and has no answer since."""
        now = read_clock(session)
        half, whole = (
            timedelta(seconds=self._settings.series_quiet_s * part) for part in (0.5, 1.0)
        )
        fresh = select(Announcement.series_instance_uid).where(
            Announcement.source == CountSource.FIND,
            Announcement.announced_at > now - whole,
            Announcement.announced_at > Series.last_instance_at,
            Announcement.series_instance_uid == Series.series_instance_uid,
        )
        query = (
            select(Study.study_instance_uid, Series.series_instance_uid, Association.calling_ae)
            .join(Series.study)
            .join(Instance, Instance.series_id == Series.id)
            .join(Association, Association.id == Instance.association_id)
            .where(
                Series.state == SeriesState.RECEIVING,
                Series.last_instance_at <= now - half,
                Association.calling_ae.in_(self._peers),
                ~fresh.exists(),
            )
            .distinct()
        )
        return [
            Question(study, series, self._peers[ae_title])
            for study, series, ae_title in session.execute(query)
        ]

    def _ask(self, question: Question) -> bool:
        ae_title = question.peer.ae_title
        if time.monotonic() < self._silent_until.get(ae_title, 0):
            return False
        try:
            count = ask(question, self._settings.ae_title, self._tls)
        except CountUnavailableError as error:
            self._silent_until[ae_title] = time.monotonic() + TIMEOUT_S
            log.warning("count not available", peer=ae_title, reason=str(error))
            return False
        if count is None:
            return False
        with self._database.transaction() as session:
            study, series = question.study_instance_uid, question.series_instance_uid
            note_count(session, ae_title, study, series, count, read_clock(session))
        return True


def ask(question: Question, ae_title: str, tls: ssl.SSLContext | None = None) -> int | None:
    """Ask one peer for Number of Series Related Instances (0020,1209).

    Returns
    -------
    The count; None if the peer does not know the series or does not count.

    Raises
    ------
    CountUnavailableError
        If it cannot be reached, or answers with a failure.
    """
    ae = AE(ae_title)
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = ae.connection_timeout = TIMEOUT_S
    ae.add_requested_context(StudyRootQueryRetrieveInformationModelFind)
    peer = question.peer
    tls_args = (tls, peer.host) if peer.tls and tls is not None else None
    assoc = ae.associate(peer.host, peer.port, ae_title=peer.ae_title, tls_args=tls_args)
    if not assoc.is_established:
        raise CountUnavailableError(f"{peer.ae_title} does not accept an association")
    spare_responses(assoc)
    try:
        found = _matches(assoc, question)
    except (ValueError, RuntimeError) as error:
        raise CountUnavailableError(f"{peer.ae_title}: {error}") from error
    finally:
        assoc.release()
    return _count(found, question)


def _matches(assoc: DicomAssociation, question: Question) -> Sequence[Dataset]:
    query = Dataset()
    query.QueryRetrieveLevel = "SERIES"
    query.StudyInstanceUID = question.study_instance_uid
    query.SeriesInstanceUID = question.series_instance_uid
    query.NumberOfSeriesRelatedInstances = None
    found = []
    for status, match in assoc.send_c_find(query, StudyRootQueryRetrieveInformationModelFind):
        code = status.get("Status")
        if code in MATCHES and match is not None:
            found.append(match)
        elif code != DimseStatus.SUCCESS:
            said = "nothing" if code is None else f"0x{code:04X}"
            raise CountUnavailableError(f"{question.peer.ae_title} answered {said}")
    return found


def _count(found: Sequence[Dataset], question: Question) -> int | None:
    for match in found:
        if match.get("SeriesInstanceUID") == question.series_instance_uid:
            count = number(match, "NumberOfSeriesRelatedInstances")
            return None if count is None or count < 1 else int(count)
    return None
