"""Who an object says it is: the four UIDs, read before it is answered for."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from typing import Final

from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.tag import Tag
from pydicom.uid import UID

from receiver.protocol.ascending import Ascending
from receiver.protocol.failure_statuses import IdentityMismatchError
from receiver.protocol.values import MALFORMED
from schema.errors import UnreadableObjectError

# Lenient on leading zeros, which old scanners write; strict on everything that is no UID.
UID_PATTERN: Final = re.compile(r"[0-9]+(\.[0-9]+)+")
UID_MAX_LENGTH: Final = 64  # PS3.5 section 9.1
SERIES_INSTANCE_UID: Final = Tag(0x0020, 0x000E)
TAGS: Final = [
    Tag(0x0008, 0x0016), Tag(0x0008, 0x0018), Tag(0x0020, 0x000D), SERIES_INSTANCE_UID,
]  # fmt: skip
BEHIND: Final = range(SERIES_INSTANCE_UID + 1, 2**32)
# Nothing large stands before these elements, unless a private group does.
HEAD_BYTES: Final = (64 * 1024, 4 * 1024 * 1024)


@dataclass(frozen=True)
class Identity:
    """The UIDs that place an object in the information model (PS3.3 section 7)."""

    sop_class_uid: str
    sop_instance_uid: str
    study_instance_uid: str
    series_instance_uid: str

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            require_uid(name, value)


def require_uid(name: str, value: str) -> None:
    """Refuse what is not a UID (PS3.5 section 9).

    Raises
    ------
    UnreadableObjectError
        If it is empty, longer than 64 characters or holds anything but digits and dots.
    """
    if not is_uid(value):
        raise UnreadableObjectError(f"{name} is not a UID")


def is_uid(value: str) -> bool:
    """Say whether a value is a UID, and so may be told: what is none could be a name."""
    return len(value) <= UID_MAX_LENGTH and UID_PATTERN.fullmatch(value) is not None


def read_identity(head: Callable[[int], bytes], length: int, transfer_syntax_uid: str) -> Identity:
    """Read the identifying UIDs of an encoded dataset from its beginning.

    Parameters
    ----------
    head
        Gives that many bytes of the dataset's beginning.
    length
        How many bytes the whole dataset has.

    Raises
    ------
    UnreadableObjectError
        If the bytes are no dataset, or a UID is missing, malformed or too far behind.
    """
    for size in HEAD_BYTES:
        elements = Ascending(until=BEHIND)
        ds = _parse(head(size), UID(transfer_syntax_uid), elements)
        # Else the head may end in the middle of a UID.
        if elements.last in BEHIND or size >= length:
            return _identity(ds)
    raise UnreadableObjectError(f"no Series Instance UID in the first {HEAD_BYTES[-1]} bytes")


def _parse(encoded: bytes, syntax: UID, elements: Ascending) -> Dataset:
    """Parse up to the Series Instance UID."""
    stream = BytesIO(encoded)
    try:
        return read_dataset(
            stream,
            syntax.is_implicit_VR,
            syntax.is_little_endian,
            stop_when=elements,
            specific_tags=list(TAGS),
        )
    except UnreadableObjectError:
        raise
    except Exception as error:
        if stream.tell() >= len(encoded):
            return Dataset()  # torn at the end of the head: the caller tries a longer one
        raise UnreadableObjectError(f"dataset cannot be read: {type(error).__name__}") from error


def _identity(ds: Dataset) -> Identity:
    try:
        elements = [ds.get(tag) for tag in TAGS]
    except MALFORMED as error:
        raise UnreadableObjectError(f"a UID cannot be read: {type(error).__name__}") from error
    if any(element is None for element in elements):
        raise UnreadableObjectError("SOP class, instance, study or series UID is missing")
    return Identity(*(str(element.value) for element in elements))


def require_match(identity: Identity, sop_class_uid: str, sop_instance_uid: str) -> None:
    """Refuse a dataset that is not the object that the C-STORE request announced.

    Raises
    ------
    IdentityMismatchError
        If class or instance differ (PS3.7 section 9.1.1.1).
    """
    if (identity.sop_class_uid, identity.sop_instance_uid) != (sop_class_uid, sop_instance_uid):
        raise IdentityMismatchError("dataset and C-STORE request name different objects")
