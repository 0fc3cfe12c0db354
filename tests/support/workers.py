"""As much of a Celery worker as what watches it asks for."""

from types import SimpleNamespace


class Consumer(SimpleNamespace):
    """A consumer of some queues."""

    def consuming_from(self, queue: str) -> bool:
        """Say whether it takes messages of a queue."""
        return queue in self.queues


def solo_worker(
    queues: tuple[str, ...] = ("triage",), *, commanded: bool = False
) -> SimpleNamespace:
    """Give as much of a worker with the solo pool as its parent is asked for."""
    return SimpleNamespace(
        hostname="triage0@gpu1",
        pool_cls=SimpleNamespace(__module__="celery.concurrency.solo"),
        consumer=SimpleNamespace(task_consumer=Consumer(queues=queues)),
        app=SimpleNamespace(conf=SimpleNamespace(worker_enable_remote_control=commanded)),
    )
