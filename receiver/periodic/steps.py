"""What the receiver does over and over, how often, and what must not wait for what."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from receiver.access.certificate import CertificateWatch
from receiver.canary.watch import CanaryWatch
from receiver.catalogue.intake import Catalogue, close_lost_associations
from receiver.catalogue.rebuild import Rebuilder
from receiver.catalogue.retention import Retention
from receiver.catalogue.share import Share
from receiver.commitment.reporter import CommitmentReporter
from receiver.completeness.find_counts import Counter
from receiver.dispatch.planner import Planner
from receiver.dispatch.redispatch import Dispatcher
from receiver.periodic.leadership import LOOK_S, Leadership
from receiver.periodic.rejection_ledger import RejectionLedger
from receiver.periodic.sweeper import Step
from receiver.roster import Presence
from schema.database import Database
from schema.owners import release_orphans
from schema.settings import Settings
from schema.storage import Storage
from schema.studies import Healer

CATALOGUE: Final = "catalogue"
PLAN: Final = "plan"
DISPATCH: Final = "dispatch"
HOUSEKEEPING: Final = "housekeeping"
REJECTIONS: Final = "rejections"
CATALOGUE_PAUSE_S: Final = 0.25  # a row follows its file within a second, however busy we are
COUNTS_S: Final = 10.0
MINUTE_S: Final = 60.0
DAY_S: Final = 86_400.0


def receiver_steps(settings: Settings, database: Database, presence: Presence) -> Sequence[Step]:
    """Give the steps of the receiver that the settings describe."""
    leader = Leadership(database, "receivers")
    # What needs the files of a storage is done by a receiver that sees it.
    keeper = Leadership(database, f"storage {Storage.at(settings.storage).identity}")
    return (
        Step("leadership", "leadership", LOOK_S, leader.seek),
        Step("leadership of the storage", "leadership", LOOK_S, keeper.seek),
        *_every_receiver(settings, database, presence, keeper),
        *(alone(leader, step) for step in _leader(settings, database)),
        *(alone(keeper, step) for step in _keeper(settings, database, presence)),
    )


def alone(leadership: Leadership, step: Step) -> Step:
    """Have a step done by the leader alone."""
    return replace(step, action=leadership.alone(step.action))


def _every_receiver(
    settings: Settings, database: Database, presence: Presence, keeper: Leadership
) -> Iterator[Step]:
    share = Share(settings.storage, presence, keeper.leads)
    catalogue = Catalogue(database, settings.storage, share.folders)
    rows_s = min(settings.sweep_s, CATALOGUE_PAUSE_S)
    yield Step(CATALOGUE, CATALOGUE, rows_s, catalogue.take_some)
    # Only its own host sees that a worker has ended.
    yield Step("orphans", DISPATCH, settings.sweep_s, lambda: release_orphans(database))
    yield Step("certificate", HOUSEKEEPING, DAY_S, CertificateWatch(settings).look)
    yield Step(REJECTIONS, REJECTIONS, COUNTS_S, RejectionLedger(settings, database).write)


def _leader(settings: Settings, database: Database) -> Iterator[Step]:
    planner, often_s = Planner.of(settings, database), settings.sweep_s
    yield Step(PLAN, PLAN, often_s, planner.plan)
    yield Step("fall back", PLAN, often_s, planner.fall_back)
    # A message goes out as soon as its job is made, however many series wait to be decided on.
    yield Step(DISPATCH, DISPATCH, often_s, Dispatcher(settings, database).dispatch_due)
    yield Step("heal", HOUSEKEEPING, often_s, Healer(database).heal)
    if settings.count_peers:
        yield Step("counts", "counts", often_s, Counter(settings, database).ask_due)
    # Without the setting it only ends what was sent before, or by hand.
    canary_s = MINUTE_S if settings.canary_minutes is None else often_s
    yield Step("canary", "canary", canary_s, CanaryWatch(settings, database).look)


def _keeper(settings: Settings, database: Database, presence: Presence) -> Iterator[Step]:
    storage, often_s = settings.storage, settings.sweep_s
    reporter = CommitmentReporter(settings, database)
    rebuilder = Rebuilder(Catalogue(database, storage), database, storage)
    yield Step("roster", "roster", often_s, presence.strike_off)
    yield Step(
        "lost associations",
        HOUSEKEEPING,
        MINUTE_S,
        lambda: close_lost_associations(database, storage),
    )
    yield Step("rebuild", HOUSEKEEPING, often_s, rebuilder.look_further)
    # A peer that hangs holds up the answers to others, and nothing else.
    yield Step("commitment requests", "commitment", often_s, reporter.collect)
    yield Step("commitment reports", "commitment", often_s, reporter.deliver_due)
    watch = CanaryWatch(settings, database)
    yield Step("canaries of yesterday", HOUSEKEEPING, MINUTE_S, watch.remove_old)
    if settings.retention_days is not None:
        yield Step("retention", HOUSEKEEPING, MINUTE_S, Retention(settings, database).sweep)
