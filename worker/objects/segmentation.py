"""Write the masks as one DICOM Segmentation on the frames that they were drawn on (PS3.3 A.51)."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import highdicom as hd
import numpy as np
import numpy.typing as npt
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code as SRCode

from schema.hemorrhage_subtypes import (
    BLOOD_RGB,
    CATEGORY,
    HEMORRHAGE,
    INTRACRANIAL,
    SUBTYPES,
    Claim,
    Subtype,
)
from worker.forms import SegmentationType
from worker.header import length_mm
from worker.objects.author import (
    MANUFACTURER,
    Label,
    Source,
    WrittenObject,
    authorship,
    coded,
    write_object,
)
from worker.objects.revision import FIRST, Revision
from worker.orientation import with_shared_orientation
from worker.slices import SourceSeries
from worker.uids import software_version, stable_uid

ARTIFICIAL_INTELLIGENCE: Final = SRCode("123110", "DCM", "Artificial Intelligence")  # CID 7162
BINARY: Final = Label(
    "SEG", "SEG", 9001, "AI hemorrhage masks, research, not for diagnosis", audience="full"
)
CONTENT_DESCRIPTION: Final = "AI masks of hemorrhage: research, not for diagnosis"
UNNAMED: Final = "Hemorrhage, type not told apart"


@dataclass(frozen=True)
class Algorithm:
    """What drew the masks.

    Attributes
    ----------
    sha256
        Of the weights.
    claims
        What the model may say of each type; one that is missing is not told apart.
    """

    name: str
    sha256: str
    claims: Mapping[str, Claim]

    def claim(self, subtype: Subtype) -> Claim:
        """Say what may be said of a type."""
        return self.claims.get(subtype.key, Claim.NOT_TOLD_APART)


def write_segmentation(
    source: SourceSeries,
    labels: npt.NDArray[np.uint8],
    algorithm: Algorithm,
    folder: Path,
    form: SegmentationType = "BINARY",
    revision: Revision = FIRST,
) -> WrittenObject | None:
    """Write one Segmentation, or none for a study without a mask.

    All five types are described even where only one has voxels, so that the number of a type which
    the model may name means it in every object; the label of an empty one says so. The number of
    one that it cannot tell apart means blood of no type, and its label says that. Frames without
    voxels are left out. The UIDs follow from the source, the model and the masks, and a file that
    is there already stays as it is: call it with the same folder and a re-run finds its own result.

    Parameters
    ----------
    source
        The series that the masks were drawn on.
    labels
        (slice, row, column) uint8 in the order of the volume: segment numbers of
        `schema.hemorrhage_subtypes`, 0 for none.
    algorithm
        What drew them.
    form
        A Segmentation (PS3.3 A.51), which most viewers read, or a Label Map Segmentation (A.90).
    folder
        Where to write; made when missing. The file is named by a hash, by nothing that a sender
        chose.
    revision
        The first that has these masks gives the Instance Number.

    Returns
    -------
    WrittenObject or None
        None when `labels` are empty: an empty object looks like a loading error in a viewer.

    Raises
    ------
    ValueError
        Labels of another shape than the volume.
    TransientError
        The storage is full or does not answer.
    """
    if labels.shape != source.volume.hu.shape:
        raise ValueError(f"labels {labels.shape} are not on the source {source.volume.hu.shape}")
    if not labels.any():
        return None
    label = (BINARY if form == "BINARY" else BINARY.to("labelmap")).numbered(revision.number)
    uid = stable_uid("SEG", form, *_identity(source, labels, algorithm))
    who = authorship(label, Source(source.headers), algorithm.sha256, uid)
    who["series_instance_uid"] = stable_uid(
        "SEG series", form, source.study_instance_uid, source.series_instance_uid, algorithm.sha256
    )

    def make() -> hd.base.SOPClass:
        return _segmentation(source, labels, algorithm, form, who)

    return write_object(label, Source(source.headers), uid, make, folder)


def tracking_uid(study_instance_uid: str, subtype: Subtype) -> str:
    """Return the Tracking UID of a type's finding in a study, shared by SEG and SR."""
    return stable_uid("tracking", study_instance_uid, subtype.key)


def _identity(
    source: SourceSeries, labels: npt.NDArray[np.uint8], algorithm: Algorithm
) -> tuple[str | bytes, ...]:
    """All that makes this object differ from another; the same again after a restart."""
    frames = zip(source.volume.sop_instance_uids, source.volume.frame_numbers, strict=True)
    return (
        source.study_instance_uid,
        source.series_instance_uid,
        algorithm.sha256,
        software_version(),
        "/".join(f"{uid}:{number}" for uid, number in frames),
        str(labels.shape),
        hashlib.sha256(labels.tobytes()).digest(),
        *(algorithm.claim(subtype).value for subtype in SUBTYPES),
    )


def _segmentation(
    source: SourceSeries,
    labels: npt.NDArray[np.uint8],
    algorithm: Algorithm,
    form: SegmentationType,
    who: Mapping[str, Any],
) -> hd.base.SOPClass:
    study = source.study_instance_uid
    return hd.seg.Segmentation(
        source_images=_lent(source),
        pixel_array=_in_source_order(source, labels),
        segmentation_type=hd.seg.SegmentationTypeValues(form),
        segment_descriptions=[
            _segment(subtype, bool((labels == subtype.segment_number).any()), study, algorithm)
            for subtype in SUBTYPES
        ],
        omit_empty_frames=True,
        content_label="ICH_AI",
        content_description=CONTENT_DESCRIPTION,
        **who,
    )


def _lent(source: SourceSeries) -> list[Dataset]:
    """Headers for highdicom: name and slice thickness from the first, one orientation for all."""
    first, *others = Source(source.headers).lent
    if not source.is_multi_frame and length_mm(first, "SliceThickness") is None:
        # Empty or 0 where a CT does not know it, neither in a Segmentation (PS3.3 C.7.6.16.2.1). A
        # new element: assigning to this one would change the header's, which it shares.
        height_mm = round(float(np.median(source.volume.slice_heights_mm)), 3)
        first["SliceThickness"] = DataElement("SliceThickness", "DS", height_mm)
    return with_shared_orientation([first, *others])


def _in_source_order(source: SourceSeries, labels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Put labels in the order of the source's frames, which highdicom pairs them with.

    The headers of single frames are in the volume's order already; a multi-frame object keeps its
    own, which may run the other way.
    """
    if not source.is_multi_frame:
        return labels
    in_file = np.empty_like(labels)
    in_file[np.array(source.volume.frame_numbers) - 1] = labels
    return in_file


def _segment(
    subtype: Subtype, present: bool, study_instance_uid: str, algorithm: Algorithm
) -> hd.seg.SegmentDescription:
    named = algorithm.claim(subtype) is not Claim.NOT_TOLD_APART
    return hd.seg.SegmentDescription(
        segment_number=subtype.segment_number,
        segment_label=_label(subtype, present, algorithm.claim(subtype)),
        segmented_property_category=coded(CATEGORY),
        segmented_property_type=coded(HEMORRHAGE),
        anatomic_regions=[coded(subtype.region if named else INTRACRANIAL)],
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=hd.AlgorithmIdentificationSequence(
            name=algorithm.name,
            version=software_version(),
            family=ARTIFICIAL_INTELLIGENCE,
            source=MANUFACTURER,
            parameters={"model_sha256": algorithm.sha256},
        ),
        tracking_uid=tracking_uid(study_instance_uid, subtype),
        tracking_id=subtype.name if named else UNNAMED,
        display_color=hd.color.CIELabColor.from_rgb(*(subtype.rgb if named else BLOOD_RGB)),
    )


def _label(subtype: Subtype, present: bool, claim: Claim) -> str:
    """Give a Segment Label that says no more of a type than the model may."""
    if claim is Claim.NOT_TOLD_APART:
        return UNNAMED if present else f"{UNNAMED} (unused)"
    if not present:
        return f"{subtype.name} (none outlined)"
    return f"{subtype.name} (a hint)" if claim is Claim.HINTED else subtype.name
