import pytest

from receiver.access.peer_limits import FORGET_ABOVE, Bucket, PeerLimiter, PeerLimits
from receiver.protocol.rejection import LOCAL_LIMIT

SCANNER, STRANGER = "10.1.2.3", "10.6.6.6"


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def turnstile(clock: Clock) -> PeerLimiter:
    return PeerLimiter(PeerLimits(associations=2, per_minute=6), clock)


def test_a_peer_has_so_many_associations_at_a_time(turnstile: PeerLimiter) -> None:
    for _ in range(3):
        assert turnstile.connect(STRANGER)
    assert turnstile.refuse(STRANGER) == LOCAL_LIMIT
    turnstile.disconnect(STRANGER)
    assert turnstile.refuse(STRANGER) is None


def test_a_peer_with_twice_as_many_connections_is_hung_up_on(turnstile: PeerLimiter) -> None:
    assert [turnstile.connect(STRANGER) for _ in range(6)] == [True] * 4 + [False] * 2


def test_one_peer_at_its_limit_takes_nothing_from_another(turnstile: PeerLimiter) -> None:
    for _ in range(10):
        turnstile.connect(STRANGER)
    assert turnstile.connect(SCANNER)
    assert turnstile.refuse(SCANNER) is None


def test_more_associations_than_a_minute_allows_are_refused_until_time_passes(
    turnstile: PeerLimiter, clock: Clock
) -> None:
    turnstile.connect(STRANGER)
    refusals = [turnstile.refuse(STRANGER) for _ in range(8)]
    assert refusals == [None] * 6 + [LOCAL_LIMIT] * 2
    clock.now_s = 10.0
    assert [turnstile.refuse(STRANGER) for _ in range(2)] == [None, LOCAL_LIMIT]


def test_a_bucket_never_holds_more_than_a_minute() -> None:
    assert Bucket(0, 0).refilled(3600, per_minute=6) == Bucket(6, 3600)


def test_peers_that_are_gone_are_forgotten(turnstile: PeerLimiter, clock: Clock) -> None:
    for number in range(FORGET_ABOVE + 1):
        turnstile.refuse(str(number))
    clock.now_s = 61.0
    turnstile.refuse(SCANNER)
    assert len(turnstile._buckets) == 1
