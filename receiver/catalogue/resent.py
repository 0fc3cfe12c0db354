"""Whether objects came again, changed in nothing but the patient: the proof of a correction."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from receiver.catalogue.arrivals import Arrival
from receiver.instance.header import Header
from receiver.instance.pixels import same_pixels

PROVEN_BY: Final = 3  # objects whose pixels are compared; a study's need not all be read


def is_resent(theirs: Sequence[Arrival], storage: Path) -> bool:
    """Say whether objects of the study came again, changed in nothing but the patient.

    The proof that two identities are one patient's: a hospital merged or corrected records and sent
    the images again. By the pixels where both can be compared; where one is compressed, by all that
    the header says of a moment of acquisition. A UID that two scans share proves nothing.
    """
    again = [
        each
        for each in theirs
        if each.earlier_header is not None
        and _same_but_person(each.stored.header, each.earlier_header)
    ]
    return bool(again) and all(_proves(each, storage) for each in again[:PROVEN_BY])


def _same_but_person(header: Header, earlier: Header) -> bool:
    return _without_person(header) == _without_person(earlier)


def _without_person(header: Header) -> Header:
    """Leave out what a correction of the patient's record changes."""
    return replace(
        header,
        transfer_syntax_uid="",
        patient_id="",
        issuer_of_patient_id="",
        patient_name="",
        patient_birth_date="",
        patient_sex="",
        accession_number="",
        study_description="",
    )


def _proves(arrival: Arrival, storage: Path) -> bool:
    if arrival.earlier is None:
        return False
    same = same_pixels(storage / arrival.earlier.path, arrival.stored.path)
    return same if same is not None else bool(arrival.stored.header.acquired[0])
