"""The five types of intracranial hemorrhage: order, names, codes and colours, written once.

Codes are SNOMED CT; none of the five types is in a DICOM context group, so they are literals here
and nowhere else. The type code (Hemorrhage) and category are CID 7151 and CID 7150 of PS3.16.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Claim(StrEnum):
    """What a model may say of a type: as much as its card shows that it learned."""

    REPORTED = "REPORTED"
    HINTED = "HINTED"
    NOT_TOLD_APART = "NOT_TOLD_APART"  # counts as blood, its type is not named


@dataclass(frozen=True)
class Code:
    """A coded concept (PS3.3 section 8.8)."""

    value: str
    meaning: str
    scheme: str = "SCT"


@dataclass(frozen=True)
class Subtype:
    """One type of hemorrhage.

    Attributes
    ----------
    key
        The abbreviation that the paper, the tables and the page use.
    segment_number
        Its Segment Number (0062,0004); the model's class index plus one.
    finding
        The disorder, for reports.
    region
        Where it lies, for the SEG's Anatomic Region Sequence.
    rgb
        Its colour on every overlay, 8 bit.
    """

    key: str
    name: str
    segment_number: int
    finding: Code
    region: Code
    rgb: tuple[int, int, int]


CATEGORY: Final = Code("49755003", "Morphologically Abnormal Structure")
HEMORRHAGE: Final = Code("50960005", "Hemorrhage")
INTRACRANIAL: Final = Code("1101003", "Intracranial")
INTRACRANIAL_HEMORRHAGE: Final = Code("1386000", "Intracranial hemorrhage")

SUBTYPES: Final = (
    Subtype(
        "EDH",
        "Epidural hemorrhage",
        1,
        Code("82999001", "Epidural intracranial hemorrhage"),
        # No code for the epidural space could be verified; the cranial cavity holds it.
        INTRACRANIAL,
        (230, 159, 0),
    ),
    Subtype(
        "IPH",
        "Intraparenchymal hemorrhage",
        2,
        Code("274100004", "Cerebral hemorrhage"),
        Code("12738006", "Brain"),
        (213, 94, 0),
    ),
    Subtype(
        "IVH",
        "Intraventricular hemorrhage",
        3,
        Code("23276006", "Intraventricular hemorrhage"),
        Code("35764002", "Brain ventricle"),
        (0, 158, 115),
    ),
    Subtype(
        "SAH",
        "Subarachnoid hemorrhage",
        4,
        Code("21454007", "Subarachnoid intracranial hemorrhage"),
        Code("35951006", "Subarachnoid space"),
        (86, 180, 233),
    ),
    Subtype(
        "SDH",
        "Subdural hemorrhage",
        5,
        Code("35486000", "Subdural intracranial hemorrhage"),
        Code("54214006", "Subdural space"),
        (204, 121, 167),
    ),
)

ANY: Final = "any"
BLOOD_RGB: Final = (220, 0, 0)  # on every overlay, of a type that is not told apart
KEYS: Final = tuple(subtype.key for subtype in SUBTYPES)
