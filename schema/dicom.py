"""Facts of the standard that more than one part relies on: classes, syntaxes, values, statuses.

Plain values, so that a host without a DICOM library can read them too.
"""

from enum import IntEnum
from typing import Final

VERIFICATION: Final = "1.2.840.10008.1.1"
CT_IMAGE_STORAGE: Final = "1.2.840.10008.5.1.4.1.1.2"
ENHANCED_CT_IMAGE_STORAGE: Final = "1.2.840.10008.5.1.4.1.1.2.1"
PUSH_MODEL: Final = "1.2.840.10008.1.20.1"  # Storage Commitment Push Model, PS3.4 J.3.1
PUSH_MODEL_INSTANCE: Final = "1.2.840.10008.1.20.1.1"  # PS3.4 J.3.5, well known
REQUEST_COMMITMENT: Final = 1  # Action Type ID of its N-ACTION, PS3.4 J.3.2.1

# What may be analysed (PS3.4 annex B.5).
ANALYSED_CLASSES: Final = (CT_IMAGE_STORAGE, ENHANCED_CT_IMAGE_STORAGE)

# Scanners push whole studies, and some call the job failed when one class is refused; so these
# are stored and never analysed.
COMPANION_CLASSES: Final = (
    "1.2.840.10008.5.1.4.1.1.2.2",  # Legacy Converted Enhanced CT Image
    "1.2.840.10008.5.1.4.1.1.7",  # Secondary Capture Image
    "1.2.840.10008.5.1.4.1.1.7.2",  # Multi-frame Grayscale Byte Secondary Capture Image
    "1.2.840.10008.5.1.4.1.1.7.3",  # Multi-frame Grayscale Word Secondary Capture Image
    "1.2.840.10008.5.1.4.1.1.7.4",  # Multi-frame True Color Secondary Capture Image
    "1.2.840.10008.5.1.4.1.1.88.67",  # X-Ray Radiation Dose SR
    "1.2.840.10008.5.1.4.1.1.88.11",  # Basic Text SR
    "1.2.840.10008.5.1.4.1.1.88.22",  # Enhanced SR
    "1.2.840.10008.5.1.4.1.1.88.33",  # Comprehensive SR
    "1.2.840.10008.5.1.4.1.1.88.59",  # Key Object Selection Document
    "1.2.840.10008.5.1.4.1.1.11.1",  # Grayscale Softcopy Presentation State
    "1.2.840.10008.5.1.4.1.1.104.1",  # Encapsulated PDF
)

# Transfer syntaxes, PS3.5 annex A.
EXPLICIT_VR_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2.1"
IMPLICIT_VR_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2"
JPEG_LOSSLESS_SV1: Final = "1.2.840.10008.1.2.4.70"  # first-order prediction
JPEG_LOSSLESS: Final = "1.2.840.10008.1.2.4.57"
JPEG_LS_LOSSLESS: Final = "1.2.840.10008.1.2.4.80"
JPEG_2000_LOSSLESS: Final = "1.2.840.10008.1.2.4.90"
RLE_LOSSLESS: Final = "1.2.840.10008.1.2.5"

# Value 4 of Image Type of multi-energy objects that hold no HU (PS3.3 C.8.2.1.1.1, C.8.15.2.1.1).
MULTI_ENERGY_MAPS: Final = frozenset(
    {
        "MAT_SPECIFIC", "MAT_REMOVED", "MAT_FRACTIONAL", "MAT_MODIFIED", "MAT_VALUE_BASED",
        "EFF_ATOMIC_NUM", "ELECTRON_DENSITY",
    }
)  # fmt: skip

# Rescale Type (PS3.3 C.11.1.1.2). US is "unspecified", and some stations spell HU in their own way:
# what the values are, the look at the pixels tells.
PERHAPS_HOUNSFIELD: Final = frozenset({"", "HU", "US", "HOUNSFIELD", "HOUNSFIELD UNITS"})
# Defined terms for other values, which are computed from a scan that is a series of its own.
MAP_RESCALE_TYPES: Final = frozenset({"OD", "MGML", "Z_EFF", "ED", "EDW", "HU_MOD", "PCT"})


def may_be_hounsfield(rescale_type: str) -> bool:
    """Say whether a Rescale Type allows that the values are Hounsfield units; absent, it does."""
    return rescale_type.strip().upper() in PERHAPS_HOUNSFIELD


class DimsePriority(IntEnum):
    """Priority (0000,0700) of a request (PS3.7 annex E.1)."""

    MEDIUM = 0
    HIGH = 1
    LOW = 2


class DimseStatus(IntEnum):
    """Status (0000,0900) of a response (PS3.4 table B.2-1, PS3.7 annex C)."""

    SUCCESS = 0x0000
    INVALID_ATTRIBUTE_VALUE = 0x0106  # PS3.7 section 10.1.5.1.6
    PROCESSING_FAILURE = 0x0110  # PS3.7 C.5.16; also: may no longer be updated (PS3.4 F.7.2.2.2)
    DUPLICATE_SOP_INSTANCE = 0x0111
    NO_SUCH_SOP_INSTANCE = 0x0112  # PS3.7 section 10.1.4.1.10, as the four below
    INVALID_ARGUMENT_VALUE = 0x0115
    SOP_CLASS_NOT_SUPPORTED = 0x0122  # PS3.7 C.5.6
    NO_SUCH_ACTION = 0x0123
    NOT_AUTHORIZED = 0x0124
    UNRECOGNIZED_OPERATION = 0x0211  # PS3.7 C.5.11
    RESOURCE_LIMITATION = 0x0213
    OUT_OF_RESOURCES = 0xA700  # PS3.4 B.2.3: the sender keeps its copy and may retry
    DATASET_DOES_NOT_MATCH = 0xA900  # PS3.4 B.2.3
    CANNOT_UNDERSTAND = 0xC000  # PS3.4 B.2.3
    PENDING = 0xFF00  # PS3.4 table C.4-1
    PENDING_WITH_WARNING = 0xFF01


MATCHES: Final = (DimseStatus.PENDING, DimseStatus.PENDING_WITH_WARNING)  # of a C-FIND
