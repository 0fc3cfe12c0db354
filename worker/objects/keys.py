"""Key Object Selection: the slices with blood, to jump to in a viewer (PS3.3 A.35.4)."""

from pathlib import Path
from typing import Final

import highdicom as hd
import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from worker.objects.author import Label, Source, WrittenObject, authorship, write_object
from worker.objects.revision import FIRST, Revision
from worker.slices import SourceSeries
from worker.uids import stable_uid
from worker.wording import NOT_FOR_DIAGNOSIS

LABEL: Final = Label(
    "KO", "KO", 9005, "AI key images, research, not for diagnosis", audience="full"
)
DESCRIPTION: Final = f"Slices with suspected hemorrhage. {NOT_FOR_DIAGNOSIS}."


def write_keys(
    series: SourceSeries,
    labels: npt.NDArray[np.uint8],
    model_sha256: str,
    folder: Path,
    revision: Revision = FIRST,
) -> WrittenObject:
    """Select the slices that have a mask."""
    source = Source(series.headers)
    chosen = keys_of(series, labels)
    uids = sorted(str(header.SOPInstanceUID) for header in chosen)
    uid = stable_uid(LABEL.series, source.study, model_sha256, *uids)

    def make() -> hd.base.SOPClass:
        content = hd.ko.KeyObjectSelection(
            document_title=codes.DCM.OfInterest,
            referenced_objects=chosen,
            description=DESCRIPTION,
        )
        given = authorship(LABEL.numbered(revision.number), source, model_sha256, uid)
        return hd.ko.KeyObjectSelectionDocument(
            evidence=Source(tuple(chosen)).lent, content=content, **given
        )

    return write_object(LABEL, source, uid, make, folder)


def keys_of(series: SourceSeries, labels: npt.NDArray[np.uint8]) -> list[Dataset]:
    """Give the headers of the images with a mask; the one object of a multi-frame series."""
    if series.is_multi_frame:
        return list(series.headers)
    has_blood = np.flatnonzero(labels.any(axis=(1, 2)))
    return [series.headers[index] for index in has_blood]
