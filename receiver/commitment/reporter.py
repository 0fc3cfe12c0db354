"""Commitment requests from disk to database to answer: asked again until the requestor heard it."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Final

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from receiver.access.tls import TlsFiles, requestor_context
from receiver.commitment.event_report import ReportUndeliveredError, notify
from receiver.commitment.request import CommitmentRequest, Reference, load_request
from receiver.commitment.result import CommitmentReport, commit
from receiver.commitment.scp import FOLDER, SUFFIX
from receiver.inbox import waiting_since
from schema.database import Database, read_clock
from schema.errors import TransientError, TriageError, describe
from schema.moments import has_come
from schema.peers import PeerAddress
from schema.settings import Settings
from schema.storage import Storage
from schema.tables import Commitment, Instance

log = structlog.get_logger()

ANSWER_S: Final = 5.0  # a peer answers in this time, or goes on in its own thread
QUERY_ROWS: Final = 500  # bound parameters in one statement
ASK_AGAIN: Final = timedelta(seconds=1)  # while objects that came before the request are on the way
LONGEST_WAIT_S: Final = 300.0  # for those; one that is stuck must not withhold every answer
FIRST_PAUSE_S: Final = 5.0
LONGEST_PAUSE_S: Final = 3600.0
GIVE_UP_AFTER: Final = timedelta(days=7)  # the requestor's transaction has long ended

Notify = Callable[[CommitmentReport, PeerAddress], None]


@dataclass(frozen=True)
class Pending:
    """A request that waits for its answer."""

    id: int
    calling_ae: str
    requested_at: datetime
    request: CommitmentRequest


class CommitmentReporter:
    """Takes requests into the database and answers them."""

    def __init__(self, settings: Settings, database: Database, send: Notify | None = None) -> None:
        self._database = database
        self._storage = Storage.at(settings.storage)
        self._peers = {peer.ae_title: peer for peer in settings.commitment_peers or ()}
        self._send = send or _sender(settings)
        self._busy: set[str] = set()  # AE titles whose thread still waits for an answer
        self._first_looks_s: dict[int, float] = {}  # at requests that wait for objects

    def collect(self) -> int:
        """Take the requests on disk into the database; return how many were new."""
        paths = sorted((self._storage.path / FOLDER).glob(f"*{SUFFIX}"))
        return sum(self._collect(path) for path in paths)

    def _collect(self, path: Path) -> bool:
        try:
            stored = load_request(path)
        except (ValueError, KeyError, TypeError, TriageError) as error:
            log.error("commitment request set aside", file=path.name, reason=str(error))
            path.rename(path.with_suffix(".bad"))
            return False
        # The file's time, not ours: it is compared with the times of other files.
        requested_at = datetime.fromtimestamp(path.stat().st_mtime, UTC)
        with self._database.transaction() as session:
            known = session.scalar(select(Commitment.id).where(Commitment.name == path.stem))
            if known is None:
                session.add(
                    Commitment(
                        name=path.stem,
                        transaction_uid=stored.request.transaction_uid,
                        calling_ae=stored.calling_ae,
                        references={
                            "objects": [
                                asdict(reference) for reference in stored.request.references
                            ]
                        },
                        requested_at=requested_at,
                        storage=self._storage.identity,
                        due_at=read_clock(session),
                    )
                )
        path.unlink()
        return known is None

    def deliver_due(self) -> int:
        """Answer what is due; return how many requestors heard it by now.

        Each peer has a thread of its own, so that one that hangs holds up nobody else's answer;
        those that answer are waited for.
        """
        with self._database.reading() as session:
            pending = due_requests(session, read_clock(session), self._storage)
        free = [request for request in pending if request.calling_ae not in self._busy]
        heard: list[int] = []
        threads = [
            threading.Thread(
                target=self._deliver_all, args=(title, list(group), heard), daemon=True
            )
            for title, group in groupby(sorted(free, key=_title), key=_title)
        ]
        self._busy |= {request.calling_ae for request in free}
        for thread in threads:
            thread.start()
        end = time.monotonic() + ANSWER_S
        for thread in threads:
            thread.join(max(end - time.monotonic(), 0))
        return len(heard)

    def _deliver_all(self, calling_ae: str, pending: Sequence[Pending], heard: list[int]) -> None:
        """Answer one peer, in the order of its requests."""
        try:
            heard.extend(request.id for request in pending if self._deliver(request))
        except Exception as error:  # noqa: BLE001 - the edge of the thread: it is asked for again
            log.error("commitment reports fail, will try again", reason=describe(error))
        finally:
            self._busy.discard(calling_ae)

    def _deliver(self, pending: Pending) -> bool:
        # In this order: what leaves the inbox in between has its row when the rows are read.
        is_arriving = self._is_arriving(pending.requested_at)
        with self._database.reading() as session:
            held = self._held(session, pending.request.references)
        report = commit(pending.request, held)
        if report.failed and is_arriving:
            if self._may_wait(pending.id):
                self._postpone(pending, None)
                return False
            log.warning("commitment answered while objects are stuck", request=pending.id)
        try:
            self._send(report, self._peer(pending.calling_ae))
        except TransientError as error:
            self._postpone(pending, error)
            return False
        self._note_delivery(pending, report)
        return True

    def _peer(self, ae_title: str) -> PeerAddress:
        if ae_title not in self._peers:
            raise ReportUndeliveredError(f"{ae_title} is not in TRIAGE_COMMITMENT_PEERS any more")
        return self._peers[ae_title]

    def _held(self, session: Session, references: Sequence[Reference]) -> dict[str, list[str]]:
        """Find what is catalogued and lies whole in the store; on another storage, by its row."""
        held: dict[str, list[str]] = {}
        for uids in _chunks([reference.sop_instance_uid for reference in references]):
            for row in session.scalars(select(Instance).where(Instance.sop_instance_uid.in_(uids))):
                elsewhere = not self._storage.holds(row.storage)
                if elsewhere or has_full_size(self._storage.path / row.path, row.size_bytes):
                    held.setdefault(row.sop_instance_uid, []).append(row.sop_class_uid)
        return held

    def _is_arriving(self, requested_at: datetime) -> bool:
        """Say whether an acknowledged object from before the request is not catalogued yet."""
        moment_s = requested_at.timestamp()
        return any(since_s <= moment_s for since_s in waiting_since(self._storage.path))

    def _may_wait(self, request_id: int) -> bool:
        """Say whether our wait is young; the request may be older, by an outage of the database."""
        now_s = time.monotonic()
        return now_s - self._first_looks_s.setdefault(request_id, now_s) < LONGEST_WAIT_S

    def _postpone(self, pending: Pending, error: TransientError | None) -> None:
        with self._database.transaction() as session:
            row = session.get_one(Commitment, pending.id)
            now = read_clock(session)
            if error is None:
                row.due_at = now + ASK_AGAIN
                return
            row.attempts += 1
            row.last_error = str(error)
            pause_s = min(FIRST_PAUSE_S * 2 ** min(row.attempts - 1, 16), LONGEST_PAUSE_S)
            row.due_at = now + timedelta(seconds=pause_s)
            if now - row.requested_at > GIVE_UP_AFTER:
                row.due_at = None
        log.warning("commitment report undelivered", request=pending.id, reason=str(error))

    def _note_delivery(self, pending: Pending, report: CommitmentReport) -> None:
        with self._database.transaction() as session:
            row = session.get_one(Commitment, pending.id)
            row.delivered_at, row.due_at = read_clock(session), None
        self._first_looks_s.pop(pending.id, None)
        log.info(
            "commitment reported",
            request=pending.id,
            committed=len(report.committed),
            failed=len(report.failed),
        )


def _title(request: Pending) -> str:
    return request.calling_ae


def due_requests(session: Session, now: datetime, storage: Storage) -> list[Pending]:
    """List the requests of a storage to be answered now, the one that waited longest first."""
    is_due = has_come(Commitment.due_at, now, timedelta(seconds=LONGEST_PAUSE_S))
    due = select(Commitment).where(is_due).order_by(Commitment.due_at)
    return [_pending(row) for row in session.scalars(due) if storage.holds(row.storage)]


def _pending(row: Commitment) -> Pending:
    references = tuple(Reference(**reference) for reference in row.references["objects"])
    request = CommitmentRequest(row.transaction_uid, references)
    return Pending(row.id, row.calling_ae, row.requested_at, request)


def _sender(settings: Settings) -> Notify:
    files = TlsFiles.of(settings)
    tls = None if files is None else requestor_context(files)
    return lambda report, peer: notify(report, peer, settings.ae_title.strip(), tls)


def _chunks(uids: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(uids), QUERY_ROWS):
        yield uids[start : start + QUERY_ROWS]


def has_full_size(path: Path, size_bytes: int) -> bool:
    """Say whether a file is there with all its bytes."""
    try:
        return path.stat().st_size == size_bytes
    except OSError:
        return False
