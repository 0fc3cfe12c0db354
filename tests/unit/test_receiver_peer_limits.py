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
def limiter(clock: Clock) -> PeerLimiter:
    return PeerLimiter(PeerLimits(associations=2, per_minute=6), clock)


def test_a_peer_has_so_many_associations_at_a_time(limiter: PeerLimiter) -> None:
    for _ in range(3):
        assert limiter.connect(STRANGER)
    assert limiter.refuse(STRANGER) == LOCAL_LIMIT
    limiter.disconnect(STRANGER)
    assert limiter.refuse(STRANGER) is None


def test_a_peer_with_twice_as_many_connections_is_hung_up_on(limiter: PeerLimiter) -> None:
    assert [limiter.connect(STRANGER) for _ in range(6)] == [True] * 4 + [False] * 2


def test_one_peer_at_its_limit_takes_nothing_from_another(limiter: PeerLimiter) -> None:
    for _ in range(10):
        limiter.connect(STRANGER)
    assert limiter.connect(SCANNER)
    assert limiter.refuse(SCANNER) is None


def test_more_associations_than_a_minute_allows_are_refused_until_time_passes(
    limiter: PeerLimiter, clock: Clock
) -> None:
    limiter.connect(STRANGER)
    refusals = [limiter.refuse(STRANGER) for _ in range(8)]
    assert refusals == [None] * 6 + [LOCAL_LIMIT] * 2
    clock.now_s = 10.0
    assert [limiter.refuse(STRANGER) for _ in range(2)] == [None, LOCAL_LIMIT]


def test_a_bucket_never_holds_more_than_a_minute() -> None:
    assert Bucket(0, 0).refilled(3600, per_minute=6) == Bucket(6, 3600)


def test_peers_that_are_gone_are_forgotten(limiter: PeerLimiter, clock: Clock) -> None:
    for number in range(FORGET_ABOVE + 1):
        limiter.refuse(str(number))
    clock.now_s = 61.0
    limiter.refuse(SCANNER)
    assert len(limiter._buckets) == 1
