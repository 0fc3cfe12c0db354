"""What the receiver accepts: classes and transfer syntaxes, as presentation contexts of its SCP."""

from typing import Final

from pynetdicom import build_context
from pynetdicom.presentation import PresentationContext

from schema.dicom import (
    ANALYSED_CLASSES,
    COMPANION_CLASSES,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    JPEG_2000_LOSSLESS,
    JPEG_LOSSLESS,
    JPEG_LOSSLESS_SV1,
    JPEG_LS_LOSSLESS,
    PUSH_MODEL,
    RLE_LOSSLESS,
    VERIFICATION,
)

# In the order of our preference. No deflated syntax: 400 kB of it can inflate to 800 MB. No lossy
# ones: not for diagnosis.
TRANSFER_SYNTAXES: Final = (
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    JPEG_LOSSLESS_SV1,
    JPEG_LOSSLESS,
    JPEG_LS_LOSSLESS,
    JPEG_2000_LOSSLESS,
    RLE_LOSSLESS,
)


def supported_contexts() -> list[PresentationContext]:
    """Give the presentation contexts that the SCP offers."""
    storage = [
        build_context(sop_class, list(TRANSFER_SYNTAXES))
        for sop_class in (*ANALYSED_CLASSES, *COMPANION_CLASSES)
    ]
    plain = [EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN]
    return [build_context(VERIFICATION), build_context(PUSH_MODEL, list(plain)), *storage]
