import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from receiver.access.peer_limits import PeerLimiter, PeerLimits
from receiver.access.shared_places import Bucket, SharedPlaces, make_places
from receiver.protocol.rejection import LOCAL_LIMIT
from schema.settings import Settings

SCANNER, STRANGER = "10.1.2.3", "10.6.6.6"
# Takes as many of a stranger's places as there are, says how many, and waits to be ended.
OTHER_PROCESS = f"""
import sys
from receiver.access.shared_places import SharedPlaces
places = SharedPlaces(int(sys.argv[1]))
taken = [places.take({STRANGER!r}, 4) for _ in range(5)]
print(sum(number is not None for number in taken), flush=True)
sys.stdin.read()
"""


class Clock:
    now_s = 1.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def descriptor() -> Iterator[int]:
    made = make_places()
    yield made
    os.close(made)


@pytest.fixture
def limiter(descriptor: int, clock: Clock) -> PeerLimiter:
    limits = PeerLimits(associations=2, per_minute=6, in_all=3)
    return PeerLimiter(limits, SharedPlaces(descriptor), clock)


@pytest.mark.parametrize(("of_one", "warns"), [(63, False), (64, True), (96, True)])
def test_limits_by_which_one_address_locks_out_all_others_are_warned_of(
    of_one: int, warns: bool
) -> None:
    warning = PeerLimits(of_one, 1200, in_all=64).warning
    assert (warning is not None) is warns
    if warning is not None:
        assert f"TRIAGE_ASSOCIATIONS_PER_PEER ({of_one})" in warning
        assert "TRIAGE_MAX_ASSOCIATIONS (64)" in warning


def test_the_limits_that_are_shipped_need_no_warning() -> None:
    assert PeerLimits.of(Settings(_env_file=None)).warning is None


def test_a_peer_has_so_many_associations_at_a_time(limiter: PeerLimiter) -> None:
    first, _, third = (limiter.connect(STRANGER) for _ in range(3))
    assert first
    assert third
    assert third.refuse() == LOCAL_LIMIT
    first.close()
    assert third.refuse() is None


def test_a_peer_with_twice_as_many_connections_is_hung_up_on(limiter: PeerLimiter) -> None:
    connections = [limiter.connect(STRANGER) for _ in range(6)]
    assert [connection is None for connection in connections] == [False] * 4 + [True] * 2


def test_one_peer_at_its_limit_takes_nothing_from_another(limiter: PeerLimiter) -> None:
    for _ in range(10):
        limiter.connect(STRANGER)
    scanner = limiter.connect(SCANNER)
    assert scanner
    assert scanner.refuse() is None


def test_all_peers_together_have_so_many_associations(limiter: PeerLimiter) -> None:
    opened = [limiter.connect(f"10.1.2.{number}") for number in range(4)]
    assert [peer.refuse() for peer in opened if peer] == [None] * 3 + [LOCAL_LIMIT]


def test_more_associations_than_a_minute_allows_are_refused_until_time_passes(
    limiter: PeerLimiter, clock: Clock
) -> None:
    def opened() -> object:
        connection = limiter.connect(STRANGER)
        assert connection
        refusal = connection.refuse()
        connection.close()
        return refusal

    assert [opened() for _ in range(8)] == [None] * 6 + [LOCAL_LIMIT] * 2
    clock.now_s += 10.0
    assert [opened() for _ in range(2)] == [None, LOCAL_LIMIT]


def test_a_bucket_never_holds_more_than_a_minute() -> None:
    assert Bucket(0, 0).refilled(3600, per_minute=6) == Bucket(6, 3600)


def test_places_of_another_process_count_until_it_dies(descriptor: int) -> None:
    ours = SharedPlaces(descriptor)
    assert ours.take(STRANGER, 4) == 0
    other = subprocess.Popen(
        [sys.executable, "-c", OTHER_PROCESS, str(descriptor)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        pass_fds=(descriptor,),
    )
    with other:
        assert other.stdout
        assert other.stdout.readline() == b"3\n"
        assert ours.take(STRANGER, 4) is None
        assert ours.take(SCANNER, 4) == 0
        other.kill()
    assert [ours.take(STRANGER, 4) for _ in range(4)] == [1, 2, 3, None]


def test_a_bucket_is_emptied_by_whichever_process(descriptor: int) -> None:
    ours, others = SharedPlaces(descriptor), SharedPlaces(descriptor)
    spent = [places.spend(STRANGER, 1.0, 2) for places in (ours, others, ours)]
    assert spent == [True, True, False]
