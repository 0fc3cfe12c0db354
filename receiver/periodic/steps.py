"""What the receiver does over and over, how often, and what must not wait for what."""

from collections.abc import Iterator, Sequence
from typing import Final

from receiver.access.certificate import CertificateWatch
from receiver.canary.watch import CanaryWatch
from receiver.catalogue.intake import Catalogue
from receiver.catalogue.rebuild import Rebuilder
from receiver.catalogue.retention import Retention
from receiver.commitment.reporter import CommitmentReporter
from receiver.completeness.find_counts import Counter
from receiver.dispatch.planner import Planner
from receiver.dispatch.redispatch import Dispatcher
from receiver.periodic.rejection_ledger import RejectionLedger
from receiver.periodic.sweeper import Step
from schema.database import Database
from schema.owners import release_orphans
from schema.settings import Settings
from schema.studies import heal

CATALOGUE: Final = "catalogue"
PLAN: Final = "plan"
DISPATCH: Final = "dispatch"
CATALOGUE_PAUSE_S: Final = 0.25  # a row follows its file within a second, however busy we are
COUNTS_S: Final = 10.0
MINUTE_S: Final = 60.0
DAY_S: Final = 86_400.0


def receiver_steps(settings: Settings, database: Database) -> Sequence[Step]:
    """Give the steps of the receiver that the settings describe."""
    catalogue = Catalogue(database, settings.storage)
    planner = Planner.of(settings, database)
    reporter = CommitmentReporter(settings, database)
    often_s = settings.sweep_s
    rows_s = min(often_s, CATALOGUE_PAUSE_S)
    rebuilder = Rebuilder(catalogue, database, settings.storage)
    return (
        Step(CATALOGUE, CATALOGUE, rows_s, catalogue.take_some),
        Step(PLAN, PLAN, often_s, planner.plan),
        Step("fall back", PLAN, often_s, planner.fall_back),
        # A message goes out as soon as its job is made, however many series wait to be decided on.
        Step(DISPATCH, DISPATCH, often_s, Dispatcher(settings, database).dispatch_due),
        Step("orphans", DISPATCH, often_s, lambda: release_orphans(database)),
        Step("heal", "housekeeping", often_s, lambda: heal(database)),
        Step("rebuild", "housekeeping", often_s, rebuilder.look_further),
        Step("certificate", "housekeeping", DAY_S, CertificateWatch(settings).look),
        Step("rejections", "rejections", COUNTS_S, RejectionLedger(settings, database).write),
        # A peer that hangs holds up the answers to others, and nothing else.
        Step("commitment requests", "commitment", often_s, reporter.collect),
        Step("commitment reports", "commitment", often_s, reporter.deliver_due),
        *_optional(settings, database),
    )


def _optional(settings: Settings, database: Database) -> Iterator[Step]:
    if settings.retention_days is not None:
        retention = Retention(settings, database)
        yield Step("retention", "housekeeping", MINUTE_S, retention.sweep)
    if settings.count_peers:
        counter = Counter(settings, database)
        yield Step("counts", "counts", settings.sweep_s, counter.ask_due)
    if settings.canary_minutes is not None:
        watch = CanaryWatch(settings, database, settings.canary_minutes)
        yield Step("canary", "canary", settings.sweep_s, watch.look)
