"""A receiver's acceptors on ports of their own, for tests that come to the front door."""

import os
import shutil
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

import pytest
import trustme
from pydicom.dataset import Dataset
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from receiver.access.tls import TlsFiles
from receiver.inbox import Inbox
from receiver.processes.pool import AcceptorPool
from receiver.roster import Presence
from schema.bare_environment import PREFIX
from schema.requestor import rejection_of, spare_responses
from schema.settings import read_settings
from tests.support.deadline import DEADLINE_S
from tests.support.scu import Address

BYSTANDER = ("127.0.0.9", 0)
PATIENCE_S = 60  # on a machine that does other things, too


@contextmanager
def environment(values: dict[str, object]) -> Iterator[None]:
    """Set settings for this process and those that it starts."""
    names = {PREFIX + name.upper(): str(value) for name, value in values.items()}
    os.environ.update(names)
    try:
        yield
    finally:
        for name in names:
            del os.environ[name]


@contextmanager
def acceptors(
    home: Path, presence: Presence | None = None, **values: object
) -> Iterator[dict[str, Address]]:
    """Run the acceptor processes on free ports; give the address of each kind of port."""
    given = {"home": home, "dicom_port": 0, "min_free_mb": 0, "acceptors": 1} | values
    with environment(given):
        settings = read_settings()
        presence = presence or Presence(settings.storage)
        pool = AcceptorPool(settings, Inbox(settings.storage, 0), presence)
        try:
            ports = pool.start()
            echo_once(
                next(iter(ports.values())), bind_address=BYSTANDER
            )  # is answered once one is up
            yield ports
        finally:
            pool.stop()
            presence.leave()


def write_certificates(
    folder: Path, authority: trustme.CA, *names: str, not_after: datetime | None = None
) -> TlsFiles:
    """Let an authority issue a certificate; write it, its key and the authority's own."""
    folder.mkdir(parents=True, exist_ok=True)
    issued = authority.issue_cert(*names, not_after=not_after)
    files = TlsFiles(folder / "own.pem", folder / "own.key", folder / "ca.pem")
    issued.cert_chain_pems[0].write_to_path(files.certificate)
    issued.private_key_pem.write_to_path(files.key)
    authority.cert_pem.write_to_path(files.authority)
    return files


def echo_once(
    address: Address, calling: str = "CT1", called: str = "IHSNET", **given: object
) -> str:
    """Open an association and echo on it; say how that went."""
    ae = AE(calling)
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = PATIENCE_S
    ae.add_requested_context(Verification)
    assoc = ae.associate(*address, ae_title=called, **given)  # type: ignore[arg-type]
    if assoc.is_established:
        spare_responses(assoc)
        status = assoc.send_c_echo().get("Status")
        assoc.release()
        return "echoed" if status == 0 else "no answer"
    return refusal_of(assoc)


def send(address: Address, datasets: Sequence[Dataset], calling: str = "CT1") -> list[int]:
    """Send datasets over one association; give the statuses, -1 for none."""
    ae = AE(calling)
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = PATIENCE_S
    for ds in datasets:
        ae.add_requested_context(ds.SOPClassUID, ds.file_meta.TransferSyntaxUID)
    assoc = ae.associate(*address, ae_title="IHSNET")
    assert assoc.is_established
    spare_responses(assoc)
    statuses = [int(assoc.send_c_store(ds).get("Status", -1)) for ds in datasets]
    assoc.release()
    return statuses


def refusal_of(assoc: Association) -> str:
    """Say why an association was not opened."""
    answer = rejection_of(assoc)
    if answer is not None:
        return f"rejected {answer.result}.{answer.result_source}.{answer.diagnostic}"
    return "closed"


def dcmtk(name: str) -> str:
    """Find a program of DCMTK, past pynetdicom's of the same name, or skip the test."""
    for folder in os.get_exec_path():
        if Path(folder) != Path(sys.executable).parent and (
            path := shutil.which(name, path=folder)
        ):
            return path
    pytest.skip(f"{name} of DCMTK is not installed")


def is_closed(connection: socket.socket) -> bool:
    """Say whether the other side hangs up within the deadline."""
    connection.settimeout(DEADLINE_S)
    try:
        while connection.recv(4096):
            pass
    except TimeoutError:
        return False
    except OSError:
        return True
    return True


def count_files(process: str = "self") -> int:
    """Count a process's open files."""
    return sum(1 for _ in Path(f"/proc/{process}/fd").iterdir())


def usage() -> tuple[float, int, int]:
    """Give resident MiB, threads and open files of the one acceptor that this process runs."""
    (process,) = map(str, acceptor_processes())
    return resident_mib(process), int(_status(process)["Threads"]), count_files(process)


def acceptor_processes() -> list[int]:
    """Give the ids of the acceptors that this process runs."""
    return [int(path.name) for path in Path("/proc").glob("[0-9]*") if _is_ours(path)]


def resident_mib(process: str = "self") -> float:
    """Give what a process holds in memory."""
    return int(_status(process)["VmRSS"].split()[0]) / 1024


def _status(process: str) -> dict[str, str]:
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return dict(line.split(":", 1) for line in lines)


def _is_ours(process: Path) -> bool:
    with suppress(OSError):
        command = (process / "cmdline").read_bytes()
        parent = (process / "stat").read_text().rpartition(")")[2].split()[1]
        return b"receiver.association.process" in command and int(parent) == os.getpid()
    return False
