"""What the receiver accepts: SOP classes and transfer syntaxes (PS3.4 annex B, PS3.5 annex A)."""

from typing import Final

from pydicom import uid
from pynetdicom import build_context
from pynetdicom.presentation import PresentationContext
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from receiver.services.commitment import PUSH_MODEL

ANALYSED: Final = (uid.CTImageStorage, uid.EnhancedCTImageStorage)

# Scanners push whole studies, and some call the job failed when one class is refused; so these
# are stored and never analysed.
COMPANIONS: Final = (
    uid.LegacyConvertedEnhancedCTImageStorage,
    uid.SecondaryCaptureImageStorage,
    uid.MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
    uid.MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
    uid.MultiFrameTrueColorSecondaryCaptureImageStorage,
    uid.XRayRadiationDoseSRStorage,
    uid.BasicTextSRStorage,
    uid.EnhancedSRStorage,
    uid.ComprehensiveSRStorage,
    uid.KeyObjectSelectionDocumentStorage,
    uid.GrayscaleSoftcopyPresentationStateStorage,
    uid.EncapsulatedPDFStorage,
)

# No deflated syntax: 400 kB of it can inflate to 800 MB. No lossy ones: not for diagnosis.
TRANSFER_SYNTAXES: Final = (
    uid.ExplicitVRLittleEndian,
    uid.ImplicitVRLittleEndian,
    uid.JPEGLosslessSV1,
    uid.JPEGLossless,
    uid.JPEGLSLossless,
    uid.JPEG2000Lossless,
    uid.RLELossless,
)


def supported_contexts() -> list[PresentationContext]:
    """Give the presentation contexts that the SCP offers."""
    storage = [
        build_context(sop_class, list(TRANSFER_SYNTAXES)) for sop_class in (*ANALYSED, *COMPANIONS)
    ]
    plain: list[str | uid.UID] = [uid.ExplicitVRLittleEndian, uid.ImplicitVRLittleEndian]
    return [build_context(Verification), build_context(PUSH_MODEL, plain), *storage]
