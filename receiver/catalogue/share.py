"""Which associations of the inbox a receiver takes in: its own, and as leader what others left."""

from collections.abc import Callable
from pathlib import Path

from receiver.inbox import close_folder, folders, receiver_of
from receiver.roster import Presence


class Share:
    """A receiver's share of the inbox of its storage."""

    def __init__(self, storage: Path, presence: Presence, leads: Callable[[], bool]) -> None:
        self._storage = storage
        self._presence = presence
        self._leads = leads

    def folders(self) -> list[Path]:
        """List the folders to take in now; what a receiver that is gone left open is closed."""
        found = folders(self._storage)  # first: whoever opens one is on the roster before
        own = [folder for folder in found if receiver_of(folder) == self._presence.name]
        if not self._leads():
            return own
        present = self._presence.present() | {self._presence.name}
        left = [folder for folder in found if receiver_of(folder) not in present]
        for folder in left:
            close_folder(folder)
        return own + left
