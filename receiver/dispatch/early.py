"""Series that were decided on while their association was open: it may still break off.

A network that dies says nothing: the receiver gives the association up long after silence decided.
Kept in memory, for the minutes that this lasts; a receiver that starts meanwhile knows of none.
"""

from sqlalchemy import select
from sqlalchemy.orm import Session

from receiver.completeness.evidence import newest_association, went_on
from schema.tables import Association


class EarlyDecisions:
    """Remembers what was decided on before the end of its sending was known."""

    def __init__(self) -> None:
        self._open: dict[int, int] = {}  # series: its newest association

    def note(self, session: Session, series_id: int) -> None:
        """Note a series that is decided on, if its newest association is open."""
        self._open.pop(series_id, None)
        association = newest_association(session, series_id)
        if association is not None and association.closed_at is None:
            self._open[series_id] = association.id

    def broken_off(self, session: Session) -> list[int]:
        """Give each series that was the last of an association that was aborted meanwhile.

        It is given again until it is forgotten.
        """
        if not self._open:
            return []
        query = select(Association.id, Association.aborted).where(
            Association.id.in_(set(self._open.values())), Association.closed_at.is_not(None)
        )
        aborted = {row.id: row.aborted for row in session.execute(query)}
        found = [
            series_id
            for series_id, association in self._open.items()
            if aborted.get(association) and not went_on(session, series_id, association)
        ]
        self._open = {
            series_id: association
            for series_id, association in self._open.items()
            if association not in aborted or series_id in found
        }
        return found

    def forget(self, series_id: int) -> None:
        """Forget a series that was opened again."""
        self._open.pop(series_id, None)
