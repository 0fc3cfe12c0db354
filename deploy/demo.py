"""Run the whole way once: start the parts, send the samples, wait, and show the worklist."""

import argparse
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from pydicom import dcmread
from pynetdicom import AE
from rich.console import Console

from schema.database import connect
from schema.dicom import DimseStatus
from schema.readers import Role
from schema.requestor import spare_responses
from schema.settings import Settings, make_home, settings_or_exit
from worklist.access.users import add_user

SAMPLES = Path(__file__).parent / "samples"  # DICOM and nothing else: any sender takes it whole
EXPECTED = SAMPLES.with_suffix(".toml")
START_DEADLINE_S = 120
ANALYSIS_DEADLINE_S = 300
STOP_DEADLINE_S = 60
POLL_S = 0.5

console = Console(stderr=True)


@dataclass(frozen=True)
class Sample:
    """A study in `samples/` and what must become of it."""

    name: str
    study_instance_uid: str
    outcomes: tuple[str, ...]
    priorities: tuple[int, ...]
    has_seg: bool | None = None  # None: either
    tilt_degrees: float = 0.0

    def is_met_by(self, study: dict[str, Any]) -> bool:
        """Compare the worklist's account of a study with what is expected."""
        jobs = [job for series in study["series"] for job in series["jobs"] if job["shown"]]
        return (
            study["outcome"] in self.outcomes
            and study["priority"] in self.priorities
            and self.has_seg
            in (None, any(written["kind"] == "SEG" for written in study["objects"]))
            and [job["measured"].get("tilt_degrees") for job in jobs] == [self.tilt_degrees]
        )


def main() -> None:
    """Run the demonstration."""
    parser = argparse.ArgumentParser(prog="./deploy/demo", description=__doc__)
    parser.add_argument("--once", action="store_true", help="stop after printing the worklist")
    once = parser.parse_args().once
    settings = settings_or_exit()
    require_own_parts(settings)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    require_free_port("TRIAGE_DICOM_PORT", settings.dicom_host, settings.dicom_port)
    require_free_port("TRIAGE_WORKLIST_PORT", settings.worklist_host, settings.worklist_port)
    make_home(settings)
    log = settings.home / "demo.log"
    try:
        with running_parts(log):
            met = demonstrate(settings, log)
            if not once:
                print(f"Log in    as demo with the password {make_user(settings)}")
                console.print("Ctrl-C stops everything.")
                signal.pause()
    except KeyboardInterrupt:
        met = True
    sys.exit(0 if met else 1)


def demonstrate(settings: Settings, log: Path) -> bool:
    """Send the samples and show what becomes of them; say whether it is what was expected."""
    samples = read_samples()
    with console.status("Starting receiver, worker and worklist"):
        wait_for_port(settings.dicom_host, settings.dicom_port, log)
        wait_for_port(settings.worklist_host, settings.worklist_port, log)
    for sample in samples:
        with console.status(f"Sending {sample.name} over DICOM"):
            send(settings, SAMPLES / sample.name)
    met = wait_for_outcomes(settings, samples, log)
    run("worklist", "list")
    print(f"\nObjects   {settings.storage}")
    print(f"Page      http://{settings.worklist_host}:{settings.worklist_port}/")
    print(f"Log       {log}")
    print(f"Why       python -m worklist explain {samples[0].study_instance_uid}")
    return met


def read_samples() -> list[Sample]:
    """Read what must become of each sample."""
    table = tomllib.loads(EXPECTED.read_text(encoding="utf-8"))
    return [
        Sample(
            name,
            row["study_instance_uid"],
            tuple(row["outcomes"]),
            tuple(row["priorities"]),
            row.get("has_seg"),
            row.get("tilt_degrees", 0.0),
        )
        for name, row in table.items()
    ]


@contextmanager
def running_parts(log: Path) -> Iterator[None]:
    """Run every part as `./deploy/up` does, with its output in the log."""
    with log.open("ab") as output:
        parts = subprocess.Popen(
            ["deploy/up"], stdout=output, stderr=output, start_new_session=True
        )
    try:
        yield
    finally:
        parts.terminate()
        with console.status("Stopping"):
            parts.wait(STOP_DEADLINE_S)


def require_own_parts(settings: Settings) -> None:
    """End with one line where the samples and an admin would get into a site's database."""
    for name in ("database_url", "broker_url"):
        if getattr(settings, name) is not None:
            sys.exit(
                f"ihsnet-triage: TRIAGE_{name.upper()} is set, and the demo sends samples and "
                "makes an admin; unset it (.env counts, too), or run ./deploy/up"
            )


def require_free_port(setting: str, host: str, port: int) -> None:
    """End with one line if something else listens there."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            sys.exit(f"ihsnet-triage: {host}:{port}: {error.strerror}; set {setting} to another")


def wait_for_port(host: str, port: int, log: Path) -> None:
    """Wait until a part listens."""
    deadline = time.monotonic() + START_DEADLINE_S
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex((host, port)) == 0:
                return
        time.sleep(POLL_S)
    sys.exit(f"ihsnet-triage: nothing listens on {host}:{port}; see {log}")


def send(settings: Settings, folder: Path) -> None:
    """Push a folder as a scanner would; end with one line where an image was not taken.

    Not with pynetdicom's storescu: on a busy host it loses a response (`schema.requestor`), gives
    up half-way and ends with 0.
    """
    objects = [dcmread(path) for path in sorted(folder.glob("*.dcm"))]
    ae = AE("DEMO")
    for ds in objects:
        ae.add_requested_context(ds.SOPClassUID, ds.file_meta.TransferSyntaxUID)
    assoc = ae.associate(settings.dicom_host, settings.dicom_port, ae_title=settings.ae_title)
    taken = 0
    if assoc.is_established:
        spare_responses(assoc)
        with suppress(RuntimeError):  # the association is gone
            for ds in objects:
                taken += assoc.send_c_store(ds).get("Status") == DimseStatus.SUCCESS
        assoc.release()
    if taken < len(objects):
        log = settings.home / "demo.log"
        sys.exit(f"ihsnet-triage: {folder}: {taken} of {len(objects)} images were taken; see {log}")


def wait_for_outcomes(settings: Settings, samples: list[Sample], log: Path) -> bool:
    """Wait until every sample has its outcome; say whether it is the expected one."""
    deadline = time.monotonic() + ANALYSIS_DEADLINE_S
    uids = {sample.study_instance_uid for sample in samples}
    with console.status("Waiting for the analysis"):
        while time.monotonic() < deadline:
            listed = ask(settings)
            done = {study["study_instance_uid"] for study in listed if study["state"] == "DONE"}
            if uids <= done:
                return report(settings, samples)
            time.sleep(POLL_S)
    console.print(f"Not every sample is done after {ANALYSIS_DEADLINE_S} s; see {log}")
    return False


def report(settings: Settings, samples: list[Sample]) -> bool:
    """Name every sample that did not get the outcome that is expected of it."""
    unmet = [sample for sample in samples if not sample.is_met_by(explain(settings, sample))]
    for sample in unmet:
        console.print(f"{sample.name}: expected {sample}")
    return not unmet


def explain(settings: Settings, sample: Sample) -> dict[str, Any]:
    """Ask for everything that led to the outcome of a sample."""
    return cast(dict[str, Any], ask(settings, sample.study_instance_uid))


def make_user(settings: Settings) -> str:
    """Make the user of the demonstration, or give it a new password; from now on all log in."""
    password = secrets.token_urlsafe(12)
    with connect(settings).transaction() as session:
        add_user(session, "demo", Role.ADMIN, password)
    return password


def ask(settings: Settings, study_uid: str = "") -> Any:
    """Ask what `python -m worklist` answers, for the list or for a study; it needs no login."""
    question = ("explain", study_uid) if study_uid else ("list", "--all")
    command = [sys.executable, "-m", "worklist", *question, "--json"]
    answer = subprocess.run(command, capture_output=True)
    if answer.returncode:  # else its warnings, of parts that have only just been started
        sys.stderr.buffer.write(answer.stderr)
    answer.check_returncode()
    return json.loads(answer.stdout)


def run(module: str, *arguments: str) -> None:
    """Run one of our programs."""
    subprocess.run([sys.executable, "-m", module, *arguments], check=True)


if __name__ == "__main__":
    os.chdir(Path(__file__).parent.parent)
    main()
