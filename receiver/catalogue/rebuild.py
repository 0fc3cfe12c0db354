"""Rebuild the catalogue from the store: files whose rows are missing get them again.

After a start, in small portions between other work: the database may have come back
from a backup that is older than the newest files.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import structlog

from receiver.catalogue.intake import Catalogue
from receiver.inbox import OBJECT_SUFFIX
from receiver.instance.stored import STORE

log = structlog.get_logger()

PORTION: Final = 1000  # files looked up in one query, some milliseconds


class Rebuilder:
    """Goes through the store once."""

    def __init__(self, catalogue: Catalogue, storage: Path) -> None:
        self._catalogue = catalogue
        self._portions = _portions(storage / STORE)
        self._portion: list[Path] = []
        self._added = 0

    def look_further(self) -> int:
        """Look at the next portion; return how many rows were missing in it.

        A portion that fails is looked at again: the database may be away.
        """
        self._portion = self._portion or next(self._portions, [])
        added = self._catalogue.add_missing(self._portion)
        self._added += added
        if not self._portion and self._added:
            log.warning("rows were missing and are rebuilt from the files", instances=self._added)
            self._added = 0
        self._portion = []
        return added


def _portions(store: Path) -> Iterator[list[Path]]:
    portion: list[Path] = []
    for path in store.rglob(f"*{OBJECT_SUFFIX}"):
        portion.append(path)
        if len(portion) == PORTION:
            yield portion
            portion = []
    if portion:
        yield portion
