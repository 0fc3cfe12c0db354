"""What the storage must keep to: durable writes, atomic names, hard links, locks, an owner.

A share that lacks one of them loses what was acknowledged, or shows half of it, months later and
on a bad day. So each is tried once when a receiver starts.
"""

import fcntl
import os
import stat
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from schema.errors import SettingsError
from schema.files import sync_folder

CONTENT: Final = b"ihsnet"
PRIVATE: Final = 0o600


def require_contract(root: Path) -> None:
    """Try in a folder of its own what the parts rely on.

    Raises
    ------
    SettingsError
        If the storage does not keep to one of them; the message names it.
    """
    try:
        with TemporaryDirectory(prefix=".contract-", dir=root) as folder:
            for name, keeps in TRIED.items():
                _try(root, name, keeps, Path(folder))
    except OSError as error:
        raise SettingsError(f"storage {root}: cannot be written to ({error.strerror})") from error


def _try(root: Path, name: str, keeps: Callable[[Path], bool], folder: Path) -> None:
    try:
        kept, why = keeps(folder), "silently"
    except OSError as error:
        kept, why = False, error.strerror or str(error)
    if not kept:
        raise SettingsError(
            f"storage {root}: does not keep to {name} ({why});"
            " use a POSIX volume (docs/operations.md, the storage)"
        )


def _flushes(folder: Path) -> bool:
    path = folder / "flushed"
    with path.open("wb") as file:
        file.write(CONTENT)
        file.flush()
        os.fsync(file.fileno())
    sync_folder(folder)
    return path.read_bytes() == CONTENT


def _renames(folder: Path) -> bool:
    source, target = folder / "source", folder / "target"
    source.write_bytes(CONTENT)
    target.write_bytes(b"")
    source.rename(target)
    return not source.exists() and target.read_bytes() == CONTENT


def _links(folder: Path) -> bool:
    source, link = folder / "linked", folder / "link"
    source.write_bytes(CONTENT)
    link.hardlink_to(source)
    return source.stat().st_nlink == 2 and link.samefile(source)


def _locks(folder: Path) -> bool:
    with (folder / "lock").open("wb") as first, (folder / "lock").open("wb") as second:
        fcntl.flock(first, fcntl.LOCK_EX | fcntl.LOCK_NB)
        try:
            fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _owns(folder: Path) -> bool:
    path = folder / "own"
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY, PRIVATE))
    found = path.stat()
    return found.st_uid == os.geteuid() and stat.S_IMODE(found.st_mode) == PRIVATE


TRIED: Final[dict[str, Callable[[Path], bool]]] = {
    "fsync of files and folders": _flushes,
    "rename onto a name that is taken": _renames,
    "hard links": _links,
    "exclusive locks (flock)": _locks,
    "owner and mode of a file": _owns,
}
