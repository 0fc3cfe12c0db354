"""Whether the shared storage is there, and which one: rows say on which their files lie.

A volume that is not mounted looks like an empty folder.
"""

import os
import pwd
import queue
import threading
import time
import uuid
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from schema.errors import SettingsError, StorageAwayError
from schema.files import make_private, sync_folder
from schema.settings import Settings

MARK: Final = "inbox"  # every receiver makes it when it starts, and nothing removes it
ANSWER_S: Final = 5.0  # a mount whose server is gone may never answer
SEE: Final = 'see "The storage" in docs/operations.md'
NEVER_THERE: Final = "not mounted, or no receiver was ever started on it"
LOOK_AGAIN_S: Final = 0.5
IDENTITY: Final = "identity"  # a file of the storage that moves with it


@dataclass(frozen=True)
class Storage:
    """A storage as this host sees it.

    Attributes
    ----------
    identity
        What no other storage has, wherever it is mounted.
    """

    path: Path
    identity: uuid.UUID

    @classmethod
    def at(cls, path: Path) -> "Storage":
        """Give the storage of this folder; the first who asks gives it its identity.

        Raises
        ------
        SettingsError
            If the file that holds its identity is spoilt.
        """
        known = read_identity(path)
        return cls(path, known or _identify(path))

    @classmethod
    def seen(cls, path: Path) -> "Storage":
        """Give the storage that is mounted here now; one that is away is not made anew.

        Raises
        ------
        StorageAwayError
            If none is.
        SettingsError
            If the file that holds its identity is spoilt.
        """
        identity = read_identity(path)
        if identity is None:
            raise StorageAwayError(f"storage {path}: not mounted")
        return cls(path, identity)

    def holds(self, identity: uuid.UUID | None) -> bool:
        """Say whether files of a row lie here; one without an identity is older than identities."""
        return identity is None or identity == self.identity


def read_identity(path: Path) -> uuid.UUID | None:
    """Read which storage is mounted at a folder; None if none is, or no receiver ever was on it.

    Raises
    ------
    SettingsError
        If the file that holds it is spoilt.
    """
    try:
        return uuid.UUID((path / IDENTITY).read_text().strip())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValueError as error:
        raise SettingsError(
            f"{path / IDENTITY}: no identity of a storage; put the file back from a backup, "
            "or the UUID that the column instance.storage has"
        ) from error


def _identify(path: Path) -> uuid.UUID:
    """Write an identity; of several at once, one is the first and all take that."""
    make_private(path)
    own = path / f".{IDENTITY}-{uuid.uuid4().hex}"
    with own.open("x") as file:
        file.write(f"{uuid.uuid4()}\n")
        file.flush()
        os.fsync(file.fileno())
    with suppress(FileExistsError):
        (path / IDENTITY).hardlink_to(own)
    own.unlink()
    sync_folder(path)
    return Storage.at(path).identity


def require_same(path: Path, identities: Collection[uuid.UUID | None]) -> None:
    """Refuse rows whose files lie on another storage than the one that is mounted here.

    Raises
    ------
    StorageAwayError
        If they do.
    """
    if set(identities) - {None, read_identity(path)}:
        raise StorageAwayError(
            f"storage {path}: images of this series lie on another storage; "
            "start a worker that mounts it, or send the study again to one storage"
        )


def is_there(root: Path) -> bool:
    """Say whether the storage is mounted and answers."""
    return why_away(root) is None


def why_away(root: Path) -> str | None:
    """Say why the storage is away, or nothing; a mount that hangs counts as away."""
    answers: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    # A thread, since nothing interrupts a read of a mount that hangs.
    threading.Thread(target=lambda: answers.put(_look(root)), daemon=True).start()
    try:
        return answers.get(timeout=ANSWER_S)
    except queue.Empty:
        return f"does not answer for {ANSWER_S:g} s"


def _look(root: Path) -> str | None:
    try:
        return None if (root / MARK).is_dir() else NEVER_THERE
    except PermissionError:
        return f"user {own_name()} may not read it; run this as the service's user, {SEE}"
    except OSError as error:  # as a handle of NFS that is stale
        return error.strerror or str(error)


def own_name() -> str:
    """Name the user that this process runs as."""
    user_id = os.geteuid()
    try:
        return pwd.getpwuid(user_id).pw_name
    except KeyError:  # in a container
        return str(user_id)


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
            f"storage {settings.storage}: {why_away(settings.storage) or 'was away'}"
        )
