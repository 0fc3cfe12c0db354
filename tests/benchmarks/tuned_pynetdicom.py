"""pynetdicom's own SCP, tuned as far as it goes from outside: the peer that our loop must beat.

`python tests/benchmarks/tuned_pynetdicom.py FOLDER PORT`: an unlimited PDU, bytes written as they
came (in chunks to a file, or from memory with `--in-memory`), fsync of file and folder before the
answer, and a process for each core on one listening socket.
"""

import argparse
import os
import signal
import sys
from pathlib import Path
from types import FrameType
from uuid import uuid4

sys.path.insert(0, str(Path(__file__).parents[2]))

from pynetdicom import AE, _config, evt
from pynetdicom.sop_class import CTImageStorage, Verification  # type: ignore[attr-defined]

SUCCESS, AE_TITLE = 0x0000, "IHSNET"


def main() -> None:
    """Serve until a signal."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("port", type=int)
    parser.add_argument("--in-memory", action="store_true")
    given = parser.parse_args()
    os.environ["TMPDIR"] = str(given.folder)  # a chunked dataset must lie where it is renamed
    _config.STORE_RECV_CHUNKED_DATASET = not given.in_memory
    handle = store_bytes if given.in_memory else store_chunks
    server = entity().make_server(
        ("127.0.0.1", given.port), evt_handlers=[(evt.EVT_C_STORE, handle, [given.folder])]
    )
    signal.signal(signal.SIGTERM, end)
    for _ in range((os.cpu_count() or 2) - 1):
        if os.fork() == 0:
            break
    server.serve_forever()


def end(_signal: int, _frame: FrameType | None) -> None:
    """Leave at once: threads of pynetdicom would hold the process up."""
    os._exit(0)


def entity() -> AE:
    """Describe what is accepted, as our receiver does for these loads."""
    entity = AE(AE_TITLE)
    entity.maximum_pdu_size = 0
    entity.maximum_associations = 64
    entity.add_supported_context(Verification)
    entity.add_supported_context(CTImageStorage)
    return entity


def store_chunks(event: evt.Event, folder: Path) -> int:
    """Make the file durable that pynetdicom has written."""
    with event.dataset_path.open("rb") as file:
        os.fsync(file.fileno())
    event.dataset_path.rename(folder / f"{uuid4().hex}.dcm")
    return sync_folder(folder)


def store_bytes(event: evt.Event, folder: Path) -> int:
    """Write the bytes as they came, durably."""
    part = folder / f"{uuid4().hex}.part"
    with part.open("wb") as file:
        file.write(event.encoded_dataset())
        file.flush()
        os.fsync(file.fileno())
    part.rename(part.with_suffix(".dcm"))
    return sync_folder(folder)


def sync_folder(folder: Path) -> int:
    """Make the name durable; then it is safe to say so."""
    descriptor = os.open(folder, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)
    return SUCCESS


if __name__ == "__main__":
    main()
