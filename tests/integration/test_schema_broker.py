"""The broker: a site's own is never ended by us, and over TLS its certificate is verified."""

import os
import signal
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import kombu
import pytest
import redis
import trustme
from kombu.exceptions import OperationalError

from schema.broker import client, ensure_broker, ping
from schema.errors import BrokerUnavailableError
from schema.monitoring.site import _describe_broker
from schema.settings import Settings
from tests.support.deadline import DEADLINE_S
from tests.support.tls import tls_front


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[Settings]:
    """Give the settings of a Redis with a certificate, and its authority."""
    embedded = Settings(_env_file=None, home=tmp_path / "home")
    ensure_broker(embedded)
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    with tls_front(context, embedded.broker_socket) as port:
        yield Settings(
            _env_file=None,
            home=tmp_path / "home",
            broker_url=f"rediss://localhost:{port}/0",
            broker_ca=tmp_path / "ca.pem",
        )
    with client(embedded) as connection:
        connection.shutdown(nosave=True)


def connect(settings: Settings) -> None:
    """Connect as Celery does."""
    with kombu.Connection(settings.broker, connect_timeout=2) as connection:
        connection.ensure_connection(max_retries=1, timeout=2)


def test_a_broker_with_a_certificate_of_the_authority_is_ours(secure: Settings) -> None:
    ping(secure)
    connect(secure)


def test_a_broker_with_a_certificate_of_somebody_else_is_refused(secure: Settings) -> None:
    stranger = secure.model_copy(update={"broker_ca": None})
    with pytest.raises(BrokerUnavailableError, match="certificate verify failed"):
        ping(stranger)
    with pytest.raises((OperationalError, redis.ConnectionError)):
        connect(stranger)


def test_a_certificate_for_another_name_is_refused(secure: Settings) -> None:
    assert secure.broker_url is not None
    other = secure.broker_url.replace("localhost", "127.0.0.1")
    with pytest.raises(BrokerUnavailableError, match="certificate"):
        ping(secure.model_copy(update={"broker_url": other}))


def test_who_asks_for_no_verification_gets_none(secure: Settings) -> None:
    url = f"{secure.broker_url}?ssl_cert_reqs=none&ssl_check_hostname=false"
    ping(secure.model_copy(update={"broker_url": url, "broker_ca": None}))


@pytest.fixture
def foreign(tmp_path: Path) -> Iterator[Settings]:
    """Give the settings of a site that has a Redis of its own."""
    owner = Settings(_env_file=None, home=tmp_path / "hospital")
    ensure_broker(owner)
    url = f"redis+socket://{owner.broker_socket}"
    yield Settings(_env_file=None, home=tmp_path / "home", broker_url=url)
    with client(owner) as connection:
        connection.shutdown(nosave=True)


def test_the_program_of_the_private_redis_leaves_a_sites_own_alone(foreign: Settings) -> None:
    with client(foreign) as connection:
        connection.set("theirs", "kept")
        before = connection.info("server")["run_id"]
    environment = os.environ | {
        "TRIAGE_BROKER_URL": str(foreign.broker_url),
        "TRIAGE_HOME": str(foreign.home),
    }
    command = [sys.executable, "-m", "schema", "broker"]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as program:
        assert program.stderr is not None
        assert "TRIAGE_BROKER_URL is set" in program.stderr.readline()
        with pytest.raises(subprocess.TimeoutExpired):
            program.wait(1)
        program.send_signal(signal.SIGTERM)
        assert program.wait(DEADLINE_S) == 0
    with client(foreign) as connection:
        assert connection.get("theirs") == b"kept"
        assert connection.info("server")["run_id"] == before
    assert not foreign.broker_socket.exists()


REFUSING = {
    "read only replica": (("replicaof", "127.0.0.1", "1"), ("replicaof", "no", "one")),
    "maxmemory": (("config", "set", "maxmemory", "1"), ("config", "set", "maxmemory", "0")),
}


@pytest.mark.parametrize("words", REFUSING)
def test_a_broker_that_answers_and_takes_no_writes_is_away_in_its_own_words(
    foreign: Settings, words: str
) -> None:
    begin, end = REFUSING[words]
    with client(foreign) as connection:
        connection.execute_command(*begin)
        with pytest.raises(BrokerUnavailableError, match=words):
            ping(foreign)
        assert [f.samples[0].value for f in _describe_broker(foreign)] == [0]
        connection.execute_command(*end)
    ping(foreign)


@pytest.mark.parametrize("words", REFUSING)
def test_a_worker_waits_for_a_broker_that_takes_no_writes(foreign: Settings, words: str) -> None:
    begin, end = REFUSING[words]
    given = {"TRIAGE_BROKER_URL": str(foreign.broker_url), "TRIAGE_HOME": str(foreign.home)}
    with client(foreign) as connection:
        connection.execute_command(*begin)
        with subprocess.Popen(
            [sys.executable, "-m", "celery", "-A", "worker", "worker", "-Psolo", "-Qdeliver"],
            env=os.environ | given, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        ) as program:  # fmt: skip
            assert program.stdout is not None
            said = iter(program.stdout)
            try:
                assert words in next(line for line in said if "takes no messages" in line)
                connection.execute_command(*end)
                assert next(line for line in said if "takes messages again" in line)
                assert next(line for line in said if " ready." in line)
            finally:
                program.kill()
