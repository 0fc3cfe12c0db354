"""Send the canary as a scanner would: one association with C-STOREs through the real port."""

import hashlib
from collections.abc import Sequence
from typing import Final

from pydicom.dataset import Dataset
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.dsutils import encode

from receiver.access.tls import TlsFiles, requestor_context
from schema.dicom import CT_IMAGE_STORAGE, EXPLICIT_VR_LITTLE_ENDIAN, DimsePriority, DimseStatus
from schema.errors import SettingsError, TransientError
from schema.requestor import rejection_of, spare_responses
from schema.settings import Settings

CALLING_AE: Final = "CANARY"
TIMEOUT_S: Final = 10.0
TRIES: Final = 3
ANY_ADDRESS: Final = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}


class CanaryNotSentError(TransientError):
    """Our own port did not take the canary."""


class NoAnswerError(CanaryNotSentError):
    """A C-STORE of the canary was not answered."""


def digest_of(ds: Dataset) -> str:
    """Give the hash that the catalogue has of a dataset once it came over the network."""
    encoded = encode(ds, is_implicit_vr=False, is_little_endian=True)
    return hashlib.sha256(encoded or b"").hexdigest()


def send(settings: Settings, objects: Sequence[Dataset]) -> None:
    """Send objects to our own port.

    Now and then a thread of pynetdicom's requestor takes the response and `send_c_store` waits for
    it in vain (seen in 2 of 167 associations of 35 objects on a busy machine). So silence is no
    finding yet; what came twice is stored once.

    Raises
    ------
    CanaryNotSentError
        If it does not take them; the message says what to look at.
    """
    for left in reversed(range(TRIES)):
        try:
            _send_once(settings, objects)
        except NoAnswerError:
            if not left:
                raise
        else:
            return


def _send_once(settings: Settings, objects: Sequence[Dataset]) -> None:
    assoc = _associate(settings)
    try:
        for ds in objects:
            answer = assoc.send_c_store(ds, priority=DimsePriority.MEDIUM)
            status = answer.get("Status")
            if status is None:
                raise NoAnswerError("C-STORE of the canary was not answered")
            if status != DimseStatus.SUCCESS:
                raise CanaryNotSentError(f"C-STORE of the canary was answered 0x{status:04X}")
    except (ValueError, RuntimeError) as error:
        raise CanaryNotSentError(f"the canary's association ended: {error}") from error
    finally:
        assoc.release()


def _associate(settings: Settings) -> Association:
    ae = AE(CALLING_AE)
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = ae.connection_timeout = TIMEOUT_S
    ae.add_requested_context(CT_IMAGE_STORAGE, [EXPLICIT_VR_LITTLE_ENDIAN])
    host = ANY_ADDRESS.get(settings.dicom_host, settings.dicom_host)
    files = None if settings.dicom_plain else TlsFiles.of(settings)
    port = settings.dicom_port if files is None else settings.tls_port
    if not port:
        raise SettingsError("TRIAGE_CANARY_MINUTES: the canary needs a port that is known")
    tls = None if files is None else (requestor_context(files), host)
    assoc = ae.associate(host, port, ae_title=settings.ae_title.strip(), tls_args=tls)
    if rejection_of(assoc) is not None:
        raise CanaryNotSentError(
            f"the receiver rejects {CALLING_AE} from {host}; add it to TRIAGE_CALLERS"
        )
    if not assoc.is_established:
        raise CanaryNotSentError(f"no association with our own port {host}:{port}")
    spare_responses(assoc)
    return assoc
