"""Numbers of patients that never collide between sources, and whose scans stay together.

CT-ICH's patients keep their own small numbers. Everybody else's follows from the source's name and
the patient's name there, so that it is the same in every run, whatever else is given: its last two
digits count the patient's scans. Nobody can read a name from it.
"""

import hashlib
from collections.abc import Collection, Sequence

SCANS = 100  # of one patient
FIRST = 10**6  # what is below is a number of CT-ICH's
MANY = 10**9


def person_number(source: str, name: str) -> int:
    """Give a patient of a source a number, which is their first scan's."""
    digest = hashlib.sha256(f"{source}/{name}".encode()).digest()
    return (FIRST + int.from_bytes(digest[:8], "big") % MANY) * SCANS


def person(patient: int) -> int:
    """Return whose scan it is."""
    return patient if patient < FIRST else patient // SCANS * SCANS


def people(patients: Collection[int]) -> set[int]:
    """Return whose scans they are."""
    return {person(patient) for patient in patients}


def rows_of_people(patients: Sequence[int]) -> list[list[int]]:
    """Return the rows of each one's scans, people as they first come."""
    rows: dict[int, list[int]] = {}
    for row, patient in enumerate(patients):
        rows.setdefault(person(patient), []).append(row)
    return list(rows.values())


def scans_of(present: Collection[int], named: Collection[int]) -> tuple[int, ...]:
    """Return all scans that are here of the people of the named ones, rising."""
    wanted = people(named)
    return tuple(sorted(patient for patient in present if person(patient) in wanted))
