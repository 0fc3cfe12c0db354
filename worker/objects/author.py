"""What every object of ours has in common: whose it is, who made it, and how it is written."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, Final

import highdicom as hd
from pydicom import dcmwrite
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code as SRCode
from pydicom.uid import ExplicitVRLittleEndian

from schema.hemorrhage_subtypes import Code
from worker.durable import write_once
from worker.forms import Audience
from worker.header import restore_name, without_name
from worker.uids import software_version, stable_uid
from worker.unvalidated import unvalidated

MANUFACTURER: Final = "IHSNet"
MODEL_NAME: Final = "IHSNet Triage"
SCHEME: Final = "99IHSNET"
SCHEME_UID: Final = stable_uid("coding scheme", SCHEME)


@dataclass(frozen=True)
class WrittenObject:
    """A result that is on disk."""

    kind: str  # SEG, SR, SC or KO
    sop_instance_uid: str
    path: Path
    sha256: str  # of the file
    audience: Audience = "all"


@dataclass(frozen=True, eq=False)
class Source:
    """The images that objects refer to: headers without Pixel Data, all of one study."""

    headers: tuple[Dataset, ...]

    @property
    def study(self) -> str:
        """The study that all of them belong to."""
        return str(self.headers[0].StudyInstanceUID)

    @property
    def series(self) -> str:
        """The series of the first of them."""
        return str(self.headers[0].SeriesInstanceUID)

    @property
    def identity(self) -> tuple[str, ...]:
        """What tells these images from others."""
        return (self.study, *sorted(str(header.SOPInstanceUID) for header in self.headers))

    @property
    def lent(self) -> list[Dataset]:
        """Headers for highdicom, which copies patient and study of the first."""
        return [without_name(self.headers[0]), *self.headers[1:]]


@dataclass(frozen=True)
class Label:
    """What an object is called.

    Attributes
    ----------
    kind
        SEG, SR, SC or KO.
    series
        What its series holds: tells series of one kind apart.
    audience
        Whom it may be sent to.
    instance
        Its Instance Number: tells revisions and pages of a series apart.
    """

    kind: str
    series: str
    number: int
    description: str
    audience: Audience = "all"
    instance: int = 1

    def numbered(self, instance: int) -> "Label":
        """Give the same label with another Instance Number."""
        return replace(self, instance=instance)

    def to(self, audience: Audience) -> "Label":
        """Give the same label for another audience."""
        return replace(self, audience=audience)


def authorship(
    label: Label, source: Source, model_sha256: str, sop_instance_uid: str
) -> dict[str, Any]:
    """Give the arguments that every class of highdicom takes."""
    return {
        "series_instance_uid": stable_uid(
            f"{label.series} series", source.study, source.series, model_sha256
        ),
        "series_number": label.number,
        "sop_instance_uid": sop_instance_uid,
        "instance_number": label.instance,
        "manufacturer": MANUFACTURER,
        "manufacturer_model_name": MODEL_NAME,
        "software_versions": software_version(),
        # No device: the weights tell two apart.
        "device_serial_number": model_sha256[:16] or software_version(),
        "series_description": label.description,
        "transfer_syntax_uid": ExplicitVRLittleEndian,
    }


def write_object(
    label: Label,
    source: Source,
    sop_instance_uid: str,
    make: Callable[[], hd.base.SOPClass],
    folder: Path,
) -> WrittenObject:
    """Write an object once, with patient and study of its source in the sender's character set.

    Raises
    ------
    TransientError
        The storage is full or does not answer.
    """
    path = folder / f"{hashlib.sha256(sop_instance_uid.encode()).hexdigest()}.dcm"

    def write(file: BinaryIO) -> None:
        with unvalidated():  # pydicom's warnings print values of the patient
            ds = make()
            # Of pages and key images highdicom takes a few attributes over, of the others all.
            ds.copy_patient_and_study_information(source.lent[0])
            restore_name(ds, source.headers[0])
            dcmwrite(file, ds, enforce_file_format=True)

    write_once(path, write)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return WrittenObject(label.kind, sop_instance_uid, path, digest, label.audience)


def coded(code: Code) -> SRCode:
    """Give a code of the schema to highdicom."""
    return SRCode(code.value, code.scheme, code.meaning)


def private(value: str, meaning: str) -> hd.sr.CodedConcept:
    """Make a code of our own scheme, for what no public one has."""
    return hd.sr.CodedConcept(value, SCHEME, meaning)


def name_scheme(ds: Dataset) -> None:
    """Say whose the private codes are (PS3.3 C.12.1.1.7)."""
    item = Dataset()
    item.CodingSchemeDesignator, item.CodingSchemeUID = SCHEME, SCHEME_UID
    item.CodingSchemeName = "IHSNet Triage"
    item.CodingSchemeResponsibleOrganization = MANUFACTURER
    ds.CodingSchemeIdentificationSequence = [item]


def fingerprint(*parts: object) -> str:
    """Digest values, for UIDs that depend on content."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()
