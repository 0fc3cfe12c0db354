"""Who an object says it is: the four UIDs, read before it is answered for."""

import re
from dataclasses import dataclass
from io import BytesIO
from typing import Final

from pydicom.filereader import read_dataset
from pydicom.tag import BaseTag, Tag
from pydicom.uid import UID

from receiver.statuses import IdentityMismatchError
from schema.errors import UnreadableObjectError

# Lenient on leading zeros, which old scanners write; strict on everything that is no UID.
UID_PATTERN: Final = re.compile(r"[0-9]+(\.[0-9]+)+")
UID_MAX_LENGTH: Final = 64  # PS3.5 section 9.1
SERIES_INSTANCE_UID: Final = Tag(0x0020, 0x000E)


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
    if len(value) > UID_MAX_LENGTH or not UID_PATTERN.fullmatch(value):
        raise UnreadableObjectError(f"{name} is not a UID")


def read_identity(encoded: bytes, transfer_syntax_uid: str) -> Identity:
    """Read the identifying UIDs of an encoded dataset and nothing behind them.

    Raises
    ------
    UnreadableObjectError
        If the bytes are no dataset, or a UID is missing or malformed.
    """
    syntax = UID(transfer_syntax_uid)
    try:
        ds = read_dataset(
            BytesIO(encoded),
            syntax.is_implicit_VR,
            syntax.is_little_endian,
            stop_when=_is_behind_the_series_uid,
            specific_tags=[
                Tag("SOPClassUID"),
                Tag("SOPInstanceUID"),
                Tag("StudyInstanceUID"),
                SERIES_INSTANCE_UID,
            ],
        )
        return Identity(
            str(ds.SOPClassUID),
            str(ds.SOPInstanceUID),
            str(ds.StudyInstanceUID),
            str(ds.SeriesInstanceUID),
        )
    except UnreadableObjectError:
        raise
    except Exception as error:
        raise UnreadableObjectError(f"dataset cannot be read: {type(error).__name__}") from error


def require_match(identity: Identity, sop_class_uid: str, sop_instance_uid: str) -> None:
    """Refuse a dataset that is not the object that the C-STORE request announced.

    Raises
    ------
    IdentityMismatchError
        If class or instance differ (PS3.7 section 9.1.1.1).
    """
    if (identity.sop_class_uid, identity.sop_instance_uid) != (sop_class_uid, sop_instance_uid):
        raise IdentityMismatchError("dataset and C-STORE request name different objects")


def _is_behind_the_series_uid(tag: BaseTag, _vr: str | None, _length: int) -> bool:
    return bool(tag > SERIES_INSTANCE_UID)
