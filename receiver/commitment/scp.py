"""N-ACTION of storage commitment as SCP: the request is on disk before it is answered.

Like the inbox it needs no database. `receiver.commitment.reporter` takes the files in and answers.
"""

import json
import os
import uuid
from collections.abc import Collection, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Final

import structlog

from receiver.commitment.request import StoredRequest, read_request
from receiver.protocol.dimse import Command, Operation, Tag, encode_response
from receiver.protocol.failure_statuses import status_of
from receiver.protocol.negotiation import AcceptedContext
from schema.dicom import PUSH_MODEL, PUSH_MODEL_INSTANCE, REQUEST_COMMITMENT, DimseStatus
from schema.errors import TriageError, describe
from schema.files import sync_folder

log = structlog.get_logger()

FOLDER: Final = "commitment"
SUFFIX: Final = ".json"
MAX_REQUEST_BYTES: Final = 16_000_000


class CommitmentScp:
    """Takes requests from the callers to whom an answer can be sent.

    Parameters
    ----------
    addressed
        The AE titles of TRIAGE_COMMITMENT_PEERS.
    """

    def __init__(self, storage: Path, addressed: Collection[str]) -> None:
        self.folder = storage / FOLDER
        self._addressed = addressed
        self.folder.mkdir(parents=True, exist_ok=True)

    def act(
        self, request: Command, calling_ae: str, contexts: Mapping[int, AcceptedContext]
    ) -> Operation:
        """Begin to take an N-ACTION request (PS3.7 section 10.1.4)."""
        context = contexts[request.context_id]
        refusal = self._refusal(request, calling_ae, context)
        return ActionOperation(self, request, calling_ae, context, refusal)

    def _refusal(self, request: Command, calling_ae: str, context: AcceptedContext) -> DimseStatus:
        if context.abstract_syntax != PUSH_MODEL:
            return DimseStatus.SOP_CLASS_NOT_SUPPORTED
        if request.uid(Tag.REQUESTED_SOP_INSTANCE_UID) != PUSH_MODEL_INSTANCE:
            return DimseStatus.NO_SUCH_SOP_INSTANCE
        if request.number(Tag.ACTION_TYPE_ID) != REQUEST_COMMITMENT:
            return DimseStatus.NO_SUCH_ACTION
        return DimseStatus.SUCCESS if calling_ae in self._addressed else DimseStatus.NOT_AUTHORIZED

    def keep(self, stored: StoredRequest) -> None:
        """Put a request on disk; it is durable when this returns."""
        target = self.folder / f"{uuid.uuid4().hex}{SUFFIX}"
        partial = target.with_suffix(".part")
        with partial.open("x", encoding="utf-8") as file:
            os.fchmod(file.fileno(), 0o600)
            json.dump(asdict(stored), file)
            file.flush()
            os.fsync(file.fileno())
        partial.rename(target)
        sync_folder(self.folder)


class ActionOperation:
    """One N-ACTION: collects the Action Information, keeps it and answers."""

    def __init__(
        self,
        commitment: CommitmentScp,
        request: Command,
        calling_ae: str,
        context: AcceptedContext,
        refusal: DimseStatus,
    ) -> None:
        self._commitment = commitment
        self._request = request
        self._calling_ae = calling_ae
        self._context = context
        self._status = refusal
        self._encoded = bytearray()

    def write(self, data: memoryview) -> None:
        """Take the next piece; a request beyond all reason is read and passed over."""
        if len(self._encoded) + len(data) > MAX_REQUEST_BYTES:
            self._status = DimseStatus.RESOURCE_LIMITATION
        if self._status == DimseStatus.SUCCESS:
            self._encoded += data

    def finish(self) -> bytes:
        """Answer; success means that the request is on disk and will be reported on."""
        if self._status == DimseStatus.SUCCESS:
            try:
                request = read_request(bytes(self._encoded), self._context.transfer_syntax)
                self._commitment.keep(StoredRequest(self._calling_ae, request))
            except Exception as error:  # noqa: BLE001 - the edge: every error becomes a status
                self._refuse(error)
        else:
            log.warning("storage commitment refused", status=f"0x{self._status:04X}")
        return encode_response(self._request, self._status)

    def abandon(self) -> None:
        """Forget a request whose end never came."""

    def _refuse(self, error: Exception) -> None:
        known = isinstance(error, TriageError)
        self._status = DimseStatus.INVALID_ARGUMENT_VALUE if known else status_of(error)
        log.error("storage commitment refused", reason=describe(error))
