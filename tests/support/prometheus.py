"""A real Prometheus with the shipped rules, for tests that inject faults."""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.support.processes import free_port, wait_for

DEPLOY = Path(__file__).parents[2] / "deploy"
RULES = DEPLOY / "prometheus" / "alerts.yml"
JOB = "ihsnet-triage"
WITHIN_S = 60  # from a fault to its alert


def program(name: str) -> str:
    """Find a program of Debian's package, or skip the test."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} (Debian: prometheus) is not installed")
    return found


class Prometheus:
    """Scrapes every two seconds and evaluates every second."""

    def __init__(self, port: int) -> None:
        self._address = f"http://127.0.0.1:{port}"
        self._fault_at = time.monotonic()

    def fault(self) -> None:
        """Begin the minute: a fault is injected now."""
        self._fault_at = time.monotonic()

    def firing(self) -> dict[str, list[dict[str, str]]]:
        """Give the labels of the alerts that fire, by name."""
        found: dict[str, list[dict[str, str]]] = {}
        for alert in self._get("/api/v1/alerts")["alerts"]:
            if alert["state"] == "firing":
                found.setdefault(alert["labels"]["alertname"], []).append(alert["labels"])
        return found

    def value(self, expression: str) -> float | None:
        """Evaluate an expression that has one sample, or none."""
        result = self._get("/api/v1/query", query=expression)["result"]
        return float(result[0]["value"][1]) if result else None

    def wait_for(self, alert: str, deadline_s: float = WITHIN_S, **labels: str) -> None:
        """Wait until an alert with these labels fires, so long after the fault at most."""

        def fires() -> bool:
            return any(labels.items() <= found.items() for found in self.firing().get(alert, []))

        wait_for(alert, fires, self._fault_at + deadline_s - time.monotonic())
        after_s = time.monotonic() - self._fault_at
        sys.stdout.write(f"{alert} after {after_s:.0f} s\n")  # shown by pytest -s

    def wait_for_silence(self, alert: str) -> None:
        """Wait until an alert is over."""
        wait_for(f"end of {alert}", lambda: alert not in self.firing())

    def _get(self, path: str, **query: str) -> dict[str, list[dict[str, dict[str, str]]]]:
        answer = httpx.get(self._address + path, params=query)
        return dict(answer.raise_for_status().json()["data"])


@contextmanager
def prometheus(folder: Path, ports: Sequence[int]) -> Iterator[Prometheus]:
    """Run one that scrapes these ports."""
    port, binary = free_port(), program("prometheus")
    folder.mkdir()
    config = {
        "global": {"scrape_interval": "2s", "scrape_timeout": "2s", "evaluation_interval": "1s"},
        "rule_files": [str(RULES)],
        "scrape_configs": [
            {
                "job_name": JOB,
                "static_configs": [{"targets": [f"127.0.0.1:{number}" for number in ports]}],
            }
        ],
    }
    path = folder / "prometheus.yml"
    path.write_text(json.dumps(config))  # JSON is YAML
    command = [binary, f"--config.file={path}", f"--storage.tsdb.path={folder / 'data'}"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [*command, f"--web.listen-address=127.0.0.1:{port}"], stdout=log, stderr=log
        )
    try:
        wait_for("Prometheus", lambda: _is_ready(port))
        yield Prometheus(port)
    finally:
        process.terminate()
        process.wait()


def _is_ready(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/-/ready").status_code == 200
    except httpx.TransportError:
        return False
