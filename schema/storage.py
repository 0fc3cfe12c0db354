"""Whether the shared storage is there: a volume that is not mounted looks like an empty folder."""

import queue
import threading
import time
from pathlib import Path
from typing import Final

from schema.errors import StorageAwayError
from schema.settings import Settings

MARK: Final = "inbox"  # every receiver makes it when it starts, and nothing removes it
ANSWER_S: Final = 5.0  # a mount whose server is gone may never answer
LOOK_AGAIN_S: Final = 0.5


def is_there(root: Path) -> bool:
    """Say whether the storage is mounted and answers; a mount that hangs counts as away."""
    answers: queue.SimpleQueue[bool] = queue.SimpleQueue()
    # A thread, since nothing interrupts a read of a mount that hangs.
    look = threading.Thread(target=lambda: answers.put((root / MARK).is_dir()), daemon=True)
    look.start()
    try:
        return answers.get(timeout=ANSWER_S)
    except queue.Empty:
        return False


def wait_until_there(root: Path, deadline_s: float) -> bool:
    """Wait for the storage as long as this; say whether it is there."""
    end = time.monotonic() + deadline_s
    while not is_there(root):
        if time.monotonic() > end:
            return False
        time.sleep(LOOK_AGAIN_S)
    return True


def require_storage(settings: Settings, deadline_s: float) -> None:
    """Wait for the storage; make that of the embedded default, which is a folder on this host.

    Raises
    ------
    StorageAwayError
        If it is not there by then.
    """
    if settings.storage_dir is None:
        (settings.storage / MARK).mkdir(parents=True, exist_ok=True)
    if not wait_until_there(settings.storage, deadline_s):
        raise StorageAwayError(
            f"storage {settings.storage}: not mounted, or no receiver was ever started on it"
        )
