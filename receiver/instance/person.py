"""Whether two objects are of one patient, as far as what is written in them can tell.

Hospitals write one patient in many ways: leading zeros, case, titles, another character set, a
placeholder until somebody knows the name. None of that makes two people of one.
"""

import re
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Final

from receiver.instance.header import Header
from receiver.instance.names import NameMatch, is_placeholder, match_names
from schema.identity import IGNORED, plain_number
from schema.tables import Study

ESTIMATED: Final = re.compile(r"(1[0-8]\d\d|190[01]|9999).*|.*00")  # a birth date that nobody knew
GUESSED: Final = ("0101", "0701")  # where somebody guessed the age
SEXES: Final = ("M", "F")


@dataclass(frozen=True)
class Person:
    """Who an object says its patient is (PS3.3 C.7.1.1)."""

    patient_id: str
    issuer: str
    name: str
    birth_date: str
    sex: str
    study_date: str = field(default="", compare=False)  # by which a placeholder's birth is judged

    @classmethod
    def of(cls, source: Header | Study) -> "Person":
        """Take the patient from an object's header, or whom a study is known to be of."""
        return cls(
            source.patient_id,
            source.issuer_of_patient_id,
            source.patient_name,
            source.patient_birth_date,
            source.patient_sex,
            source.study_date,
        )

    def said(self) -> dict[str, str]:
        """Give what is put on record of it."""
        return {each.name: getattr(self, each.name) for each in fields(self) if each.compare}

    @property
    def number(self) -> str:
        """The Patient ID without case, punctuation and leading zeros; empty for a placeholder."""
        return plain_number(self.patient_id)

    @property
    def is_provisional(self) -> bool:
        """Whether it is a placeholder until somebody knows who this is."""
        return is_placeholder(self.name)


class Verdict(StrEnum):
    """What two identities are to each other."""

    SAME = "SAME"
    COMPLETED = "COMPLETED"  # one of them was a placeholder, or lacked what the other has
    CORRECTED = "CORRECTED"  # the same patient, and not by format alone
    OTHER = "OTHER"  # two people, as far as anybody can tell


def compare(first: Person, second: Person) -> Verdict:
    """Compare two identities that came under one study."""
    if first == second:
        return Verdict.SAME
    names = match_names(first.name, second.name)
    if not first.number or not second.number:
        return _without_number(first, second, names)
    if first.number == second.number:
        return _same_number(first, second, names)
    return _other_number(first, second, names)


def differences(first: Person, second: Person) -> str:
    """Name what differs, without what it says."""
    fields = {
        "patient ID": first.patient_id != second.patient_id,
        "issuer of the patient ID": first.issuer != second.issuer,
        "name": first.name != second.name,
        "birth date": first.birth_date != second.birth_date,
        "sex": first.sex != second.sex,
    }
    return ", ".join(name for name, differs in fields.items() if differs)


def _same_number(first: Person, second: Person, names: NameMatch) -> Verdict:
    """Compare where the number agrees; another issuer's may agree by chance."""
    born = _agree(_birth_date(first), _birth_date(second))
    chance = _agree(_issuer(first), _issuer(second)) is False
    match names:
        case NameMatch.SAME | NameMatch.PART if born is not False:
            return Verdict.SAME
        case NameMatch.OTHER if not born or chance:
            return Verdict.OTHER
        case NameMatch.UNKNOWN if chance and not born:
            return Verdict.OTHER
        case NameMatch.ALIKE if chance and not born:
            return Verdict.OTHER
        case NameMatch.UNKNOWN if first.is_provisional == second.is_provisional:
            return Verdict.SAME if born is not False else Verdict.OTHER
        case NameMatch.UNKNOWN:
            return Verdict.COMPLETED
    return Verdict.CORRECTED


def _other_number(first: Person, second: Person, names: NameMatch) -> Verdict:
    """Compare where the number differs: a placeholder's is given up when the patient is known."""
    born = _agree(_birth_date(first), _birth_date(second))
    if born is False or _agree(_sex(first), _sex(second)) is False:
        return Verdict.OTHER
    if first.is_provisional != second.is_provisional:
        return Verdict.COMPLETED
    if names is NameMatch.SAME and born:
        return Verdict.CORRECTED  # records of one person, merged; twins differ in the name
    return Verdict.OTHER


def _without_number(first: Person, second: Person, names: NameMatch) -> Verdict:
    if False in (
        _agree(_sex(first), _sex(second)),
        _agree(_birth_date(first), _birth_date(second)),
    ):
        return Verdict.OTHER
    if names in (NameMatch.ALIKE, NameMatch.OTHER) or _are_numbered_apart(first, second):
        return Verdict.OTHER
    same_words = first.number == second.number and first.is_provisional == second.is_provisional
    return Verdict.SAME if same_words else Verdict.COMPLETED


def _are_numbered_apart(first: Person, second: Person) -> bool:
    """Tell the first unknown patient of a night from the second."""
    if not (first.is_provisional and second.is_provisional):
        return False
    numbers = [re.findall(r"\d+", person.name) for person in (first, second)]
    return all(numbers) and numbers[0] != numbers[1]


def _agree(first: str, second: str) -> bool | None:
    """Compare what both say; None where one says nothing."""
    return first == second if first and second else None


def _birth_date(person: Person) -> str:
    digits = re.sub(r"\D", "", person.birth_date)
    is_guess = ESTIMATED.fullmatch(digits) or (
        person.is_provisional and _is_guessed(digits, person)
    )
    return "" if len(digits) != 8 or is_guess else digits


def _is_guessed(digits: str, person: Person) -> bool:
    """Say whether a placeholder's birth date is one that desks write: the day of admission, too."""
    year = person.study_date[:4]
    return digits.endswith(GUESSED) or (year != "" and digits.startswith(year))


def _sex(person: Person) -> str:
    sex = person.sex.strip().upper()[:1]
    return sex if sex in SEXES else ""


def _issuer(person: Person) -> str:
    written = person.issuer or person.patient_id.partition("^")[2].strip("^").partition("&")[0]
    return IGNORED.sub("", written).casefold()
