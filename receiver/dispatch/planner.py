"""Decide on every series that is complete: a job for the best one, a reason for the others."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final

import structlog
from sqlalchemy.orm import Session

from receiver.catalogue.reopening import reopen
from receiver.catalogue.strangers import strangers
from receiver.completeness.ages import Age, Ages
from receiver.completeness.assess import CompletenessTimeouts, assess, completed_by
from receiver.completeness.evidence import (
    read_known,
    receiving,
    smallest_first,
    was_cut_short,
)
from receiver.dispatch.early import EarlyDecisions
from receiver.dispatch.jobs import new_job
from receiver.dispatch.order import Order, load_order
from receiver.dispatch.second_choice import with_second_choice
from receiver.instance.columns import newest_headers
from receiver.instance.header import Header
from receiver.selection.best_series import better_sibling, spare_worse_siblings
from receiver.selection.images import Selection, select_images
from receiver.selection.rules import SelectionRules, load_rules
from schema.cut_short import CUT_SHORT
from schema.database import Database, read_clock
from schema.one_by_one import OneByOne
from schema.reason_words import UNDECIDED
from schema.settings import Settings
from schema.states import SeriesState, move
from schema.studies import lock_study, second_choice, update_study
from schema.tables import Instance, Series, Study

log = structlog.get_logger()

TRIES: Final = 5  # a second apart, before a series is refused on which deciding fails each time


class Planner:
    """Turns series that stopped arriving into jobs or rejections."""

    def __init__(
        self,
        database: Database,
        timeouts: CompletenessTimeouts,
        rules: SelectionRules,
        order: Order,
    ) -> None:
        self._database = database
        self._timeouts = timeouts
        self._rules = rules
        self._order = order
        self._ages = Ages()
        self._early = EarlyDecisions()
        self._reopening = OneByOne(database, Series, "series that broke off cannot be reopened")
        self._deciding = OneByOne(database, Series, "series cannot be decided on, will try again")
        self._refusing = OneByOne(database, Series, "series cannot be refused, will try again")
        self._falling_back = OneByOne(database, Study, "study gets no second choice")

    @classmethod
    def of(cls, settings: Settings, database: Database) -> "Planner":
        """Make the planner that the settings describe.

        Raises
        ------
        SettingsError
            If the selection rules or the order of the queue cannot be read.
        """
        rules = load_rules(settings.selection, settings.words)
        order = load_order(settings.order)
        return cls(database, CompletenessTimeouts.of(settings), rules, order)

    def plan(self) -> int:
        """Decide on every series that is ready, the smallest first; return how many decisions."""
        with self._database.reading() as session:
            broken_off = self._early.broken_off(session)
        self._reopening.do(broken_off, self._open_again)
        with self._database.reading() as session:
            due = self._due(session)
            ready = self._ready(session, due) if due else []
        # Each is looked at once more: deciding on those before it may have taken a while.
        return self._decide_each(ready, lambda each: self._decide_if_ready(each, due[each]), TRIES)

    def decide_now(
        self, series_ids: Sequence[int], reason: str, *, even_if_second: bool = False
    ) -> int:
        """Decide on series at somebody's word, as `decide` does; there is no later try."""
        return self._decide_each(
            series_ids,
            lambda each: self.decide(each, reason, even_if_second=even_if_second),
            tries=1,
        )

    def _decide_each(
        self, series_ids: Sequence[int], decide: Callable[[int], bool], tries: int
    ) -> int:
        decided = self._deciding.do(series_ids, decide)
        failed = [each for each in series_ids if self._deciding.failures[each] >= tries]
        return decided + self._refusing.do(failed, self._refuse)

    def _refuse(self, series_id: int) -> bool:
        """Refuse a series on which deciding fails; else its study would wait for ever, unseen."""
        with self._database.transaction() as session:
            series = session.get_one(Series, series_id)
            study = lock_study(session, series.study_id)
            if series.state != SeriesState.RECEIVING:
                return False
            series.completed_by = "every try to decide on it failed"
            series.selection_version = self._rules.versions
            _apply(series, Selection(None, UNDECIDED), None)
            update_study(session, study)
            _report(series)
        del self._deciding.failures[series_id]
        return True

    def _open_again(self, series_id: int) -> None:
        """Decide again on a series of which the sending broke off, to say that it did."""
        with self._database.transaction() as session:
            series = session.get(Series, series_id)
            if series is not None:  # else it was deleted meanwhile
                study = lock_study(session, series.study_id)
                if series.state != SeriesState.RECEIVING and was_cut_short(session, series_id):
                    reopen(series)
                    update_study(session, study)
        self._early.forget(series_id)  # not before: the database may not have taken it

    def fall_back(self) -> int:
        """Have the next best series analysed where the analysis of the best one failed."""
        with self._database.reading() as session:
            found = with_second_choice(session, read_clock(session))
        return self._falling_back.do(found, self._analyse_second_choice)

    def _analyse_second_choice(self, study_id: int) -> bool:
        with self._database.transaction() as session:
            study = lock_study(session, study_id)
            series = second_choice(study)
            if series is None:  # another receiver was faster
                return False
            reason = f"second choice: {study.reason}"
            reopen(series)
            series.completed_by = reason
            self._select(session, series)
            update_study(session, study)
            _report(series)
        return True

    def decide(self, series_id: int, reason: str, *, even_if_second: bool = False) -> bool:
        """Decide on one series, whether it is ready or not.

        Parameters
        ----------
        reason
            Why now, for whoever asks later.
        even_if_second
            Analyse it although a series with a better score was selected before.

        Returns
        -------
        Whether it was decided; False if it changed meanwhile, so that its clock runs again.

        """
        with self._database.reading() as session:
            ids, headers = newest_headers(session, series_id, self._rules.stack.max_objects)
        selection = self._select_images(ids, headers)  # may take a while: in no transaction
        with self._database.transaction() as session:
            series = session.get_one(Series, series_id)
            lock_study(session, series.study_id)
            newest = series.newest_instances()
            changed = {instance.id for instance in newest} != ids
            if changed or series.state != SeriesState.RECEIVING:
                return False
            series.completed_by, series.selection_version = reason, self._rules.versions
            if mixed := strangers(session, series.study, headers):
                selection = Selection(None, str(mixed))
            _leave_out(newest, selection)
            series.cut_short = was_cut_short(session, series_id)
            self._early.note(session, series_id)
            better = None if even_if_second else better_sibling(series, selection)
            if _apply(series, selection, better):
                self._select(session, series)
            update_study(session, series.study)
            _report(series)
        return True

    def _select(self, session: Session, series: Series) -> None:
        series.state = move(series.state, SeriesState.SELECTED)
        series.jobs.append(new_job(session, series, self._order, read_clock(session)))

    def _due(self, session: Session) -> dict[int, Age]:
        """Find the series that have been quiet for a while or are overdue.

        Those that still stream are not even looked at: that would cost more with every slice.
        """
        now = read_clock(session)
        arrivals = receiving(session)
        self._ages.forget_others([arrival.series_id for arrival in arrivals])
        ages = {arrival.series_id: self._ages.age(arrival, now) for arrival in arrivals}
        return {key: age for key, age in ages.items() if self._timeouts.may_be_due(age)}

    def _decide_if_ready(self, series_id: int, age: Age) -> bool:
        with self._database.reading() as session:
            reason = self._completed_by(session, {series_id: age}).get(series_id)
        return reason is not None and self.decide(series_id, reason)

    def _ready(self, session: Session, due: Mapping[int, Age]) -> list[int]:
        """List what is ready, the smallest first; hundreds that are not hold nothing up."""
        ready = self._completed_by(session, due)
        return smallest_first(session, list(ready)) if ready else []

    def _completed_by(self, session: Session, due: Mapping[int, Age]) -> dict[int, str]:
        """Say of each series that is ready why it is."""
        found = read_known(session, list(due))
        reasons = {}
        for series_id, age in due.items():
            clock = found.clock(series_id, age)
            evidence = assess(clock, found.arrived(series_id), self._rules.evidence)
            reasons[series_id] = completed_by(clock, evidence, self._timeouts)
        return {series_id: reason for series_id, reason in reasons.items() if reason is not None}

    def _select_images(self, ids: Collection[int], headers: Sequence[Header]) -> Selection:
        if len(ids) > self._rules.stack.max_objects:
            return Selection(None, f"{len(ids)} objects, more than a head CT has")
        return select_images(headers, self._rules)


def _leave_out(instances: Sequence[Instance], selection: Selection) -> None:
    for instance in instances:
        instance.left_out = selection.left_out.get(instance.sop_instance_uid)


def _apply(series: Series, selection: Selection, better: Series | None) -> bool:
    """Write what was decided; return whether the series is to be analysed."""
    series.score, series.reason = selection.score, selection.reason
    series.scanned_at = selection.scanned_at
    series.from_mm, series.to_mm = selection.from_mm, selection.to_mm
    if better is not None:
        series.reason = (
            f"scored {series.score:g}, series {better.name} {better.score:g}; {series.reason}"
        )
    if series.cut_short:
        series.reason = f"{series.reason}; {CUT_SHORT}"
    if selection.score is None or better is not None:
        series.state = move(series.state, SeriesState.REJECTED)
        return False
    spare_worse_siblings(series)
    return True


def _report(series: Series) -> None:
    log.info(
        "series decided",
        study=series.study.study_instance_uid,
        series=series.series_instance_uid,
        state=series.state,
        job=next((job.id for job in series.jobs if job.revision == series.revision), None),
        completed_by=series.completed_by,
        reason=series.reason,
    )
