"""What the receiver accepts: the presentation contexts of its SCP (PS3.4 annex B)."""

from pynetdicom import build_context
from pynetdicom.presentation import PresentationContext

from schema.dicom import (
    ANALYSED_CLASSES,
    COMPANION_CLASSES,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    PUSH_MODEL,
    TRANSFER_SYNTAXES,
    VERIFICATION,
)


def supported_contexts() -> list[PresentationContext]:
    """Give the presentation contexts that the SCP offers."""
    storage = [
        build_context(sop_class, list(TRANSFER_SYNTAXES))
        for sop_class in (*ANALYSED_CLASSES, *COMPANION_CLASSES)
    ]
    plain = [EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN]
    return [build_context(VERIFICATION), build_context(PUSH_MODEL, list(plain)), *storage]
