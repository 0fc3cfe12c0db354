"""A patient's number in its plain form, and what became of a second identity under one study."""

import re
import unicodedata
from enum import StrEnum
from typing import Final

IGNORED: Final = re.compile(r"[\s\-./_\u200c\u200d]+")  # in a patient's number
NO_NUMBER: Final = re.compile(r"|unknown|unbekannt|none|na|noid|temp|anonymous|x+|\?+|9{4,}")


def plain_number(patient_id: str) -> str:
    """Write a Patient ID without case, punctuation and leading zeros; empty for a placeholder."""
    written = patient_id.partition("^")[0]  # some write HL7's CX into it
    number = IGNORED.sub("", unicodedata.normalize("NFKC", written).casefold()).lstrip("0")
    return "" if NO_NUMBER.fullmatch(number) else number


class IdentityChange(StrEnum):
    """Why a study has two identities on record."""

    COMPLETED = "COMPLETED"  # a placeholder was followed by the patient's own identity
    CORRECTED = "CORRECTED"  # records were merged, or a name or number was put right
    MISMATCH = "MISMATCH"  # as far as anybody can tell, two people
