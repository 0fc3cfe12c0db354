"""How a worker starts: what it loads, which pools it refuses, who may command it."""

import importlib
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

HEAVY = ("torch", "cv2", "highdicom", "pydicom", "pynetdicom", "httpx", "jinja2", "hl7", "fhir")
PARENT = """
import sys
import worker.celery, worker.tasks, worker.delivery.tasks
from schema.database import connect, upgrade
from schema.settings import read_settings
from worker.delivery.service import make_service
settings = read_settings()
upgrade(settings)
service = make_service(settings, connect(settings))
service.start()
service.stop()
print(*{name.partition(".")[0] for name in sys.modules})
"""

BEGIN = """
from types import SimpleNamespace
import worker.celery, worker.delivery.tasks
from celery.signals import worker_init, worker_shutdown
queues = SimpleNamespace(consume_from={"deliver": None})
class Sender:
    pool_cls, app = "solo", SimpleNamespace(amqp=SimpleNamespace(queues=queues))
worker_init.send(Sender)
worker_shutdown.send(None)
"""


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setenv("TRIAGE_BROKER_URL", "redis://127.0.0.1:1")  # only the import needs one
    return importlib.import_module("worker.celery")


def test_the_parent_of_a_pool_loads_neither_the_model_nor_what_it_does_not_send_with(
    tmp_path: Path,
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PARENT],
        env={"TRIAGE_BROKER_URL": "redis://127.0.0.1:1", "TRIAGE_HOME": str(tmp_path / "home")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.splitlines()[-1].split())
    assert "celery" in loaded
    assert loaded.isdisjoint(HEAVY)


def test_a_workers_first_line_is_one_like_the_others(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", BEGIN],
        env={"TRIAGE_BROKER_URL": "redis://127.0.0.1:1", "TRIAGE_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        check=True,
    )
    first = done.stderr.splitlines()[0]
    assert re.fullmatch(r'timestamp=\S+Z level=info event="delivery runs" destinations=\[\]', first)


@pytest.mark.parametrize("pool", ["gevent", "eventlet"])
def test_a_pool_of_one_thread_for_all_is_refused_in_one_line(
    app: ModuleType, pool: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        app._refuse_pools(SimpleNamespace(pool_cls=pool))
    assert stopped.value.code == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert line == f"ihsnet-triage: celery --pool: {pool} cannot run this worker; use prefork"


@pytest.mark.parametrize("pool", ["prefork", "solo", "threads"])
def test_a_pool_that_keeps_patients_apart_is_taken(app: ModuleType, pool: str) -> None:
    app._refuse_pools(SimpleNamespace(pool_cls=pool))
