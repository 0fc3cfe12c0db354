"""A database over TLS: its certificate is verified, host name included, or nobody connects."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy as sa
import trustme

from schema.database import connect, upgrade
from schema.errors import DatabaseUnavailableError
from schema.settings import Settings
from tests.support.processes import free_port
from worklist.queries import check_database

USER = "postgres"


@dataclass(frozen=True)
class SecureServer:
    port: int
    authority: Path

    def settings(self, home: Path, host: str, authority: Path | None = None) -> Settings:
        query = f"sslmode=verify-full&sslrootcert={authority or self.authority}"
        url = f"postgresql+psycopg://postgres@{host}:{self.port}/postgres?{query}"
        return Settings(_env_file=None, home=home, database_url=url)


@pytest.fixture(scope="module")
def server() -> Iterator[SecureServer]:
    """Run Debian's PostgreSQL on loopback, with a certificate for `localhost`."""
    programs = max(Path("/usr/lib/postgresql").glob("*/bin"), default=None)
    if programs is None or os.geteuid() != 0:
        pytest.skip("needs Debian's postgresql (the wheel's has no TLS), run as root")
    with tempfile.TemporaryDirectory(prefix="pg") as name:
        folder, port = Path(name), free_port()
        data = folder / "data"
        folder.chmod(0o755)
        data.mkdir()
        shutil.chown(data, USER, USER)

        def run(program: str, *arguments: str) -> None:
            command = [programs / program, "-D", data, *arguments]
            subprocess.run(command, check=True, user=USER, stdout=subprocess.DEVNULL)

        run("initdb", "-U", "postgres", "--auth=trust")
        _certify(data, folder)
        own = f"-c listen_addresses=127.0.0.1 -c port={port} -c ssl=on -k {data}"
        run("pg_ctl", "-w", "-o", own, "-l", f"{data}/log", "start")
        yield SecureServer(port, folder / "ca.pem")
        run("pg_ctl", "-w", "-m", "fast", "stop")


def _certify(data: Path, folder: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    issued = authority.issue_cert("localhost")
    issued.cert_chain_pems[0].write_to_path(data / "server.crt")
    issued.private_key_pem.write_to_path(data / "server.key")
    for path in (data / "server.crt", data / "server.key"):
        path.chmod(0o600)
        shutil.chown(path, USER, USER)


def test_a_database_whose_certificate_is_of_the_authority_and_for_its_name_is_ours(
    server: SecureServer, tmp_path: Path
) -> None:
    settings = server.settings(tmp_path, "localhost")
    upgrade(settings)
    database = connect(settings)
    check_database(database)
    with database.reading() as session:
        query = sa.text("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
        assert session.scalar(query) is True
    database.engine.dispose()


def test_a_database_with_the_certificate_of_another_host_is_refused(
    server: SecureServer, tmp_path: Path
) -> None:
    database = connect(server.settings(tmp_path, "127.0.0.1"))
    with pytest.raises(DatabaseUnavailableError, match="certificate"):
        check_database(database)
    database.engine.dispose()


def test_a_database_with_a_certificate_of_somebody_else_is_refused(
    server: SecureServer, tmp_path: Path
) -> None:
    trustme.CA().cert_pem.write_to_path(tmp_path / "stranger.pem")
    database = connect(server.settings(tmp_path, "localhost", tmp_path / "stranger.pem"))
    with pytest.raises(DatabaseUnavailableError, match="certificate"):
        check_database(database)
    database.engine.dispose()
