"""The Celery app, so that `celery -A worker worker` finds it; the one module that acts on import.

Each option is here for a reason that somebody measured; the database is the queue of record, and
what comes over the broker is only a job's id.
"""

from typing import Any, Final

from celery import Celery
from celery.concurrency import get_implementation
from celery.signals import setup_logging, worker_init
from kombu.entity import Exchange, Queue

from schema.broker import ensure_broker
from schema.errors import SettingsError, TriageError
from schema.files import keep_private
from schema.log import set_up_log
from schema.messages import ANALYSE, DELIVER_QUEUE, TRIAGE_QUEUE
from schema.settings import settings_or_exit, stop
from worker.delivery.destinations import load_destinations
from worker.steps import OrphanWatch, SelfTest, SignsOfLife

HARD_LIMIT_GRACE_S = 30
CHILD_DEADLINE_S = 300  # four seconds by default: too short for torch and a model
POOLS: Final = ("prefork", "solo", "thread")  # the others have one thread for all, and no decoder
VISIBILITY_TIMEOUT_S = 3600  # far above the hard time limit, or a slow task runs twice

settings = settings_or_exit()
try:
    places = load_destinations(settings.destinations)
    ensure_broker(settings)
except TriageError as error:
    stop(error)

app = Celery("worker", broker=settings.broker, include=["worker.tasks", "worker.delivery.tasks"])
app.conf.update(
    # With the default exchange both queues would get every message.
    task_queues=[
        Queue(name, Exchange(name), routing_key=name) for name in (TRIAGE_QUEUE, DELIVER_QUEUE)
    ],
    task_default_queue=TRIAGE_QUEUE,
    task_routes={ANALYSE: {"queue": TRIAGE_QUEUE}},
    task_serializer="json",
    accept_content=["json"],
    task_ignore_result=True,
    task_acks_late=True,
    task_reject_on_worker_lost=True,  # a killed child's message comes again at once
    worker_prefetch_multiplier=1,
    worker_concurrency=1,  # one study at a time for each GPU
    worker_pool_start_method="spawn",  # CUDA cannot be used in a forked child
    worker_proc_alive_timeout=CHILD_DEADLINE_S,
    worker_max_tasks_per_child=100,
    worker_enable_remote_control=False,  # whoever reaches Redis could stop triage unseen
    task_soft_time_limit=settings.time_limit_s,
    task_time_limit=settings.time_limit_s + HARD_LIMIT_GRACE_S,
    worker_soft_shutdown_timeout=settings.time_limit_s,
    broker_transport_options={"visibility_timeout": VISIBILITY_TIMEOUT_S},
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,  # a night without Redis must not end the worker
    broker_channel_error_retry=True,  # nor must a night with one that takes no writes
    worker_consumer="worker.consumer:PatientConsumer",
    worker_cancel_long_running_tasks_on_connection_loss=False,  # the lease decides, not the broker
)
app.triage = settings
app.steps["worker"].update({SignsOfLife, SelfTest, OrphanWatch})


@worker_init.connect
def _refuse_pools(sender: Any, **_: object) -> None:
    pool = get_implementation(sender.pool_cls).__module__.rpartition(".")[2]
    if pool not in POOLS:
        stop(SettingsError(f"celery --pool: {pool} cannot run this worker; use prefork"))


@worker_init.connect  # delivery begins, and says so, before Celery asks for its log
@setup_logging.connect
def _set_up_log(**_: object) -> None:
    set_up_log(settings)
    keep_private()
