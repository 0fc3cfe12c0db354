"""C-STORE of objects to an archive, and the proof that it keeps them (PS3.4 annexes B, C and J)."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Final

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    Comprehensive3DSRStorage,
    KeyObjectSelectionDocumentStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
    StudyRootQueryRetrieveInformationModelFind,
    Verification,
)

from schema.dicom import MATCHES, REQUEST_COMMITMENT, DimseStatus
from schema.errors import TransientError, TriageError
from schema.requestor import rejection_of, spare_responses
from worker.delivery.destinations import DicomDestination
from worker.delivery.statuses import (
    DamagedObjectError,
    DestinationDownError,
    RefusedError,
    check_store,
)
from worker.delivery.transport import connect, tls_context
from worker.unvalidated import unvalidated

STORED: Final = {
    "SEG": SegmentationStorage,
    "SR": Comprehensive3DSRStorage,
    "SC": SecondaryCaptureImageStorage,
    "KO": KeyObjectSelectionDocumentStorage,
}
LABEL_MAP: Final = UID("1.2.840.10008.5.1.4.1.1.66.7")  # Storage; not in pydicom 3.0
SYNTAXES: Final = [ExplicitVRLittleEndian, ImplicitVRLittleEndian]


@dataclass(frozen=True)
class Reference:
    """An object as the archive knows it."""

    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    study_instance_uid: str


def stored_classes(target: DicomDestination) -> dict[str, UID]:
    """Give the SOP class of each kind of object that an archive is sent."""
    classes: dict[str, UID] = {kind: STORED[kind] for kind in target.objects}
    if target.segmentation == "LABELMAP" and "SEG" in classes:
        classes["SEG"] = LABEL_MAP
    return classes


class Archive:
    """One archive, called with our AE title."""

    def __init__(self, target: DicomDestination, ae_title: str) -> None:
        self.target = target
        self._ae_title = ae_title

    @contextmanager
    def associated(
        self,
        classes: Sequence[str],
        handlers: Sequence[tuple[Any, Callable[..., Any]]] = (),
    ) -> Iterator[Association]:
        """Open an association and release it.

        Raises
        ------
        DestinationDownError
            It cannot be reached, or rejects the association; the message says which.
        RefusedError
            It accepts none of the presentation contexts.
        """
        target = self.target
        ae = AE(self._ae_title)
        ae.acse_timeout = ae.dimse_timeout = target.timeout_s
        ae.network_timeout = ae.connection_timeout = target.timeout_s
        for sop_class in classes:
            ae.add_requested_context(sop_class, SYNTAXES)
        context = tls_context(target)
        assoc = ae.associate(
            target.host,
            target.port,
            ae_title=target.ae_title,
            evt_handlers=list(handlers),
            tls_args=None if context is None else (context, target.host),
        )
        if not assoc.is_established:
            raise _why_not(assoc, target, self._ae_title)
        spare_responses(assoc)
        try:
            yield assoc
        finally:
            if assoc.is_established:
                assoc.release()

    def store(self, assoc: Association, ds: Dataset) -> None:
        """Send one object.

        Raises
        ------
        RefusedError
            The archive takes no such object; or this one never.
        TransientError
            Not now; `ConnectionLostError` when the association went over it, its parent when it was
            gone before.
        """
        try:
            answer = assoc.send_c_store(ds)
        except ValueError as error:  # pynetdicom's way to say that no context was accepted
            name = ds.SOPClassUID.name
            raise RefusedError(
                f"{self.target.ae_title} accepts no presentation context for {name}; leave it out"
                f" of objects in [destinations.{self.target.name}], or have the archive accept it,"
                " then replay"
            ) from error
        except RuntimeError as error:
            raise DestinationDownError("the association was lost") from error
        check_store(answer.get("Status"))

    def has(self, assoc: Association, reference: Reference) -> bool:
        """Ask for one object by C-FIND at the image level.

        Raises
        ------
        DestinationDownError
            The archive does not answer the query.
        """
        query = Dataset()
        query.QueryRetrieveLevel = "IMAGE"
        query.StudyInstanceUID = reference.study_instance_uid
        query.SeriesInstanceUID = reference.series_instance_uid
        query.SOPInstanceUID = reference.sop_instance_uid
        found = False
        try:
            answers = assoc.send_c_find(query, StudyRootQueryRetrieveInformationModelFind)
            for status, identifier in answers:
                if status.get("Status") is None:
                    raise DestinationDownError("no answer to C-FIND")
                uid = identifier.get("SOPInstanceUID") if identifier is not None else None
                found |= status.Status in MATCHES and uid == reference.sop_instance_uid
        except (ValueError, RuntimeError) as error:
            raise DestinationDownError(f"C-FIND is not possible: {error}") from error
        return found

    def request_commitment(
        self, assoc: Association, transaction_uid: str, references: Sequence[Reference]
    ) -> None:
        """Ask the archive to commit to objects (N-ACTION); it reports later.

        Raises
        ------
        DestinationDownError
            It does not take the request.
        """
        information = Dataset()
        information.TransactionUID = transaction_uid
        information.ReferencedSOPSequence = [_item(reference) for reference in references]
        try:
            answer, _ = assoc.send_n_action(
                information,
                REQUEST_COMMITMENT,
                StorageCommitmentPushModel,
                StorageCommitmentPushModelInstance,
            )
        except (ValueError, RuntimeError) as error:
            raise DestinationDownError(f"storage commitment is not possible: {error}") from error
        status = answer.get("Status")
        if status != DimseStatus.SUCCESS:
            said = "nothing" if status is None else f"0x{status:04X}"
            raise DestinationDownError(f"storage commitment was answered with {said}")


def read_object(path: Path, sha256: str) -> Dataset:
    """Read an object to send, as it was written: pydicom takes half of a file for a whole one.

    Raises
    ------
    TransientError
        The file is not there (yet).
    DamagedObjectError
        It is not what was written.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        reason = error.strerror or "unreadable"
        raise TransientError(f"{path.name}: {reason}; check the storage") from error
    if hashlib.sha256(content).hexdigest() != sha256:
        raise DamagedObjectError(
            f"{path.name}: damaged, not what was written; put the file back from a backup,"
            " then replay"
        )
    with unvalidated():
        return dcmread(BytesIO(content))


def reference_of(ds: Dataset) -> Reference:
    """Name an object."""
    return Reference(
        str(ds.SOPClassUID),
        str(ds.SOPInstanceUID),
        str(ds.SeriesInstanceUID),
        str(ds.StudyInstanceUID),
    )


def _item(reference: Reference) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = reference.sop_class_uid
    item.ReferencedSOPInstanceUID = reference.sop_instance_uid
    return item


def _why_not(assoc: Association, target: DicomDestination, ae_title: str) -> TriageError:
    where = f"{target.ae_title} at {target.host}:{target.port}"
    if assoc.rejected_contexts and not assoc.accepted_contexts:
        return RefusedError(
            f"{where} accepts no presentation context of ours; have the archive accept the objects"
            f" of [destinations.{target.name}], then replay"
        )
    rejection = rejection_of(assoc)
    if rejection is not None:
        return DestinationDownError(
            f"{where} rejects our association ({rejection.reason_str}); check that it knows"
            f" {ae_title} and that its title is {target.ae_title}"
        )
    try:
        connect(target).close()  # pynetdicom logs why it could not, and does not tell
    except DestinationDownError as error:
        return DestinationDownError(
            f"{target.ae_title}: {error}; check host, port, and that it runs"
        )
    return DestinationDownError(f"{where} does not answer as a DICOM peer; check the port")


__all__ = [
    "STORED",
    "Archive",
    "Reference",
    "StorageCommitmentPushModel",
    "StudyRootQueryRetrieveInformationModelFind",
    "Verification",
    "evt",
    "read_object",
    "reference_of",
]
