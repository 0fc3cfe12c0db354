"""Real archives on this host: Orthanc, and DCMTK's storescp; skipped where they are not."""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE, AllStoragePresentationContexts, build_role, evt
from pynetdicom.sop_class import (
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
)

from tests.support.deadline import DEADLINE_S
from tests.support.processes import free_port, wait_for, wait_for_port

# Before the environment: pynetdicom brings a storescp of its own.
PATHS = os.pathsep.join(["/usr/bin", "/usr/sbin", os.environ.get("PATH", "")])


@dataclass
class Orthanc:
    """An Orthanc with its own storage, which survives when it is stopped."""

    folder: Path
    listen_port: int
    port: int = field(default_factory=free_port)
    http_port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        program = shutil.which("Orthanc", path=PATHS)
        if program is None:
            pytest.skip("no Orthanc here; on Debian: apt-get install orthanc")
        self.folder.mkdir(exist_ok=True)
        configuration = self.folder / "orthanc.json"
        configuration.write_text(json.dumps(self._configuration()))
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [program, configuration], stdout=log, stderr=log, start_new_session=True
            )
        wait_for_port(self.port)
        wait_for("Orthanc", self._answers)

    def _configuration(self) -> dict[str, object]:
        return {
            "Name": "PACS",
            "StorageDirectory": str(self.folder / "storage"),
            "IndexDirectory": str(self.folder / "storage"),
            "DicomAet": "PACS",
            "DicomPort": self.port,
            "HttpPort": self.http_port,
            "RemoteAccessAllowed": False,
            "DicomModalities": {"us": ["IHSNET", "127.0.0.1", self.listen_port]},
            "DicomAlwaysAllowFind": True,
            "StableAge": 1,
            "Plugins": [],
        }

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/system", trust_env=False).status_code == 200
        except httpx.HTTPError:
            return False

    @property
    def url(self) -> str:
        """Its REST API."""
        return f"http://127.0.0.1:{self.http_port}"

    def instances(self) -> list[str]:
        """Give the identifiers of what it holds."""
        found: list[str] = httpx.get(f"{self.url}/instances", trust_env=False).json()
        return found

    def file(self, identifier: str) -> bytes:
        """Give one object back."""
        return httpx.get(f"{self.url}/instances/{identifier}/file", trust_env=False).content

    def arrivals(self) -> list[str]:
        """Give the Study Instance UIDs of new instances, in the order of their arrival."""
        url = f"{self.url}/changes?limit=10000"
        changes = httpx.get(url, trust_env=False).json()["Changes"]
        new = [change["ID"] for change in changes if change["ChangeType"] == "NewInstance"]
        return [self._study(identifier) for identifier in new]

    def _study(self, identifier: str) -> str:
        url = f"{self.url}/instances/{identifier}/tags?simplify"
        return str(httpx.get(url, trust_env=False).json()["StudyInstanceUID"])

    def stop(self) -> None:
        """Stop it; its storage stays."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(DEADLINE_S)
            self.process = None


@dataclass
class Archive:
    """An archive that takes everything, and reports on commitment when it is told to."""

    port: int = 0
    requests: list[Dataset] = field(default_factory=list)
    hangs_up_over: tuple[str, ...] = ()  # the studies whose objects end an association

    def store(self, event: Any) -> int:
        """Take an object, or hang up over it."""
        if event.dataset.StudyInstanceUID in self.hangs_up_over:
            event.assoc.abort()
        return 0x0000

    def take(self, event: Any) -> tuple[int, None]:
        """Note a request for commitment."""
        self.requests.append(event.action_information)
        return 0x0000, None

    def report(self, port: int, request: Dataset) -> None:
        """Say that it keeps all that a request names."""
        ae = AE("PACS")
        ae.add_requested_context(StorageCommitmentPushModel)
        role = build_role(StorageCommitmentPushModel, scp_role=True)
        assoc = ae.associate("127.0.0.1", port, ae_title="IHSNET", ext_neg=[role])
        assert assoc.is_established
        model, instance = StorageCommitmentPushModel, StorageCommitmentPushModelInstance
        status, _ = assoc.send_n_event_report(request, 1, model, instance)
        assoc.release()
        assert status.Status == 0x0000


@contextmanager
def committing_archive(*hangs_up_over: str) -> Iterator[Archive]:
    """Run one on a free port."""
    archive = Archive(hangs_up_over=hangs_up_over)
    ae = AE("PACS")
    for context in AllStoragePresentationContexts:
        ae.add_supported_context(context.abstract_syntax)
    ae.add_supported_context(StorageCommitmentPushModel)
    handlers = [(evt.EVT_C_STORE, archive.store), (evt.EVT_N_ACTION, archive.take)]
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    archive.port = server.server_address[1]
    try:
        yield archive
    finally:
        server.shutdown()


@contextmanager
def storescp(folder: Path, *options: str) -> Iterator[int]:
    """Run DCMTK's storescp; give its port."""
    program = shutil.which("storescp", path=PATHS)
    if program is None:
        pytest.skip("no storescp here; on Debian: apt-get install dcmtk")
    folder.mkdir(exist_ok=True)
    port = free_port()
    command: Sequence[str] = [program, "-od", str(folder), *options, str(port)]
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        wait_for_port(port)
        yield port
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
