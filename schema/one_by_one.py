"""The same for each of many rows, where one that fails must hold up none of the others."""

from collections import Counter
from collections.abc import Callable, Iterable

import structlog

from schema.database import Database
from schema.errors import TransientError, describe
from schema.tables import Series, Study

log = structlog.get_logger()


class OneByOne:
    """Does something for each of many studies or series; one on which it fails is named.

    Parameters
    ----------
    complaint
        What the log then says, once until it works again.

    Attributes
    ----------
    failures
        How often in succession it failed, by the row's id. In memory: who starts anew tries anew.
    """

    def __init__(
        self, database: Database, table: type[Study] | type[Series], complaint: str
    ) -> None:
        self._database = database
        self._table = table
        self._complaint = complaint
        self.failures: Counter[int] = Counter()

    def do(self, ids: Iterable[int], action: Callable[[int], object]) -> int:
        """Do it for each; return for how many there was something to do.

        Raises
        ------
        TransientError
            At once: a fault of the surroundings is that of no row.
        """
        return sum(self._do(row_id, action) for row_id in ids)

    def _do(self, row_id: int, action: Callable[[int], object]) -> bool:
        try:
            done = bool(action(row_id))
        except TransientError:
            raise
        except Exception as error:  # noqa: BLE001 - an edge: whatever it is, others have their turn
            self._note(row_id, error)
            return False
        self.failures.pop(row_id, None)
        return done

    def _note(self, row_id: int, error: Exception) -> None:
        self.failures[row_id] += 1
        if self.failures[row_id] == 1:
            log.error(self._complaint, **self._names(row_id), reason=describe(error))

    def _names(self, row_id: int) -> dict[str, str]:
        with self._database.reading() as session:
            match session.get(self._table, row_id):
                case Study() as study:
                    return {"study": study.study_instance_uid}
                case Series() as series:
                    uid = series.series_instance_uid
                    return {"study": series.study.study_instance_uid, "series": uid}
        return {}
