"""Every code that goes into an object is what it says."""

from pathlib import Path

import pytest
from pydicom.sr._concepts_dict import concepts

import worker
from schema.hemorrhage_subtypes import CATEGORY, HEMORRHAGE, INTRACRANIAL_HEMORRHAGE, SUBTYPES, Code
from worker.objects.segmentation import ARTIFICIAL_INTELLIGENCE

SNOMED = [
    CATEGORY,
    HEMORRHAGE,
    INTRACRANIAL_HEMORRHAGE,
    *(code for subtype in SUBTYPES for code in (subtype.finding, subtype.region)),
]
# Verhoeff's tables: the product of the dihedral group D5, and its permutation.
PRODUCT = [
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
    [1, 2, 3, 4, 0, 6, 7, 8, 9, 5],
    [2, 3, 4, 0, 1, 7, 8, 9, 5, 6],
    [3, 4, 0, 1, 2, 8, 9, 5, 6, 7],
    [4, 0, 1, 2, 3, 9, 5, 6, 7, 8],
    [5, 9, 8, 7, 6, 0, 4, 3, 2, 1],
    [6, 5, 9, 8, 7, 1, 0, 4, 3, 2],
    [7, 6, 5, 9, 8, 2, 1, 0, 4, 3],
    [8, 7, 6, 5, 9, 3, 2, 1, 0, 4],
    [9, 8, 7, 6, 5, 4, 3, 2, 1, 0],
]
PERMUTATION = [1, 5, 7, 6, 2, 8, 3, 0, 9, 4]


def has_valid_check_digit(number: str) -> bool:
    check = 0
    for place, digit in enumerate(map(int, reversed(number))):
        for _ in range(place % 8):
            digit = PERMUTATION[digit]
        check = PRODUCT[check][digit]
    return check == 0


def meanings(value: str, scheme: str) -> set[str]:
    """All meanings that pydicom's copy of PS3.16 gives a code."""
    return {
        meaning.removesuffix(" (disorder)").lower()
        for codes in concepts[scheme].values()
        for code, (meaning, _) in codes.items()
        if code == value
    }


@pytest.mark.parametrize("code", SNOMED, ids=lambda code: code.meaning)
def test_a_snomed_code_has_a_valid_check_digit(code: Code) -> None:
    assert has_valid_check_digit(code.value)


@pytest.mark.parametrize("wrong", ["95457006", "274110009"])
def test_wrong_codes_in_use_elsewhere_fail_the_check(wrong: str) -> None:
    assert not has_valid_check_digit(wrong)


@pytest.mark.parametrize(
    "code",
    [code for code in SNOMED if meanings(code.value, code.scheme)],
    ids=lambda code: code.meaning,
)
def test_a_code_that_the_standard_knows_has_its_meaning(code: Code) -> None:
    assert code.meaning.lower() in meanings(code.value, code.scheme)


def test_the_standard_knows_neither_the_five_types_nor_the_subdural_space() -> None:
    unknown = {code for code in SNOMED if not meanings(code.value, code.scheme)}
    subdural_space = SUBTYPES[4].region
    assert unknown == {subdural_space, *(subtype.finding for subtype in SUBTYPES)}


def test_the_algorithm_family_is_artificial_intelligence() -> None:
    family = ARTIFICIAL_INTELLIGENCE
    assert meanings(family.value, family.scheme_designator) == {family.meaning.lower()}


def test_no_other_module_of_the_worker_writes_a_snomed_code() -> None:
    sources = Path(worker.__file__).parent.rglob("*.py")
    text = "".join(path.read_text("utf-8") for path in sources)
    assert not [code.value for code in SNOMED if code.value in text]
