"""The objects of a series that are not the study's patient's: a reason not to analyse it as one."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from receiver.catalogue.identity import accepted, read_events
from receiver.instance.header import Header
from receiver.instance.person import Person, differences
from receiver.selection.labels import is_image
from schema.tables import Study


@dataclass(frozen=True)
class Strangers:
    """Objects of a series that are not the study's patient's."""

    count: int
    total: int
    differs: str

    def __str__(self) -> str:
        """Say so without saying who."""
        if self.count == self.total:
            return (
                f"its patient is not the study's ({self.differs} differs), so it is not analysed;"
                " see the identities on record"
            )
        return (
            f"two patients in one series: {self.count} of {self.total} objects are another's"
            f" ({self.differs} differs), so it is not analysed as one"
        )


def strangers(session: Session, study: Study, headers: Sequence[Header]) -> Strangers | None:
    """Find the objects of a series that are somebody else's; a report is never analysed anyway."""
    if not any(is_image(header) for header in headers):
        return None
    known = Person.of(study)
    people = {person for header in headers if (person := Person.of(header)) != known}
    if not people:
        return None
    events = read_events(session, study)
    others = {person for person in people if not accepted(person, known, events)}
    if not others:
        return None
    count = sum(Person.of(header) in others for header in headers)
    return Strangers(count, len(headers), differences(known, min(others, key=repr)))
