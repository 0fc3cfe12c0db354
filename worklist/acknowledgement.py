"""What readers do with a result: see it, take that back, agree, disagree; and what nobody saw."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
import structlog
from sqlalchemy.orm import Session

from schema.database import Database, read_clock
from schema.deciding_job import shown_job
from schema.errors import PermanentError
from schema.hemorrhage_subtypes import ANY
from schema.readers import DisagreementCause
from schema.states import Level, Outcome
from schema.tables import CRITICAL_UNSEEN, Finding, Job, Series, Study, StudyEvent, Verdict
from worklist.formatting import iso
from worklist.listing import CRITICAL

log = structlog.get_logger()
UNREAD_CRITICAL = "UNREAD_CRITICAL"
LONGEST_COMMENT = 500
MOST_AT_ONCE = 100
# There is a bleed although the reader disagrees: none was marked, or one of another type or size.
BLEEDS = frozenset(
    {
        DisagreementCause.MISSED_BLEED,
        DisagreementCause.WRONG_TYPE,
        DisagreementCause.WRONG_VOLUME,
    }
)


class ReadingError(PermanentError):
    """A reader asked for what can't be done to this study; the message says why."""


class OutdatedError(ReadingError):
    """The page that a reader speaks of is older than the study's result."""

    status = 409


@dataclass(frozen=True)
class Opinion:
    """What a reader says of a result; a cause comes with a disagreement and with nothing else."""

    agrees: bool
    cause: DisagreementCause | None = None
    comment: str = ""

    def __post_init__(self) -> None:
        """Refuse an opinion that contradicts itself."""
        if self.agrees == (self.cause is not None):
            raise ReadingError("a disagreement names its cause, an agreement none")
        if len(self.comment) > LONGEST_COMMENT:
            raise ReadingError(f"a comment has at most {LONGEST_COMMENT} characters")


@dataclass(frozen=True)
class GivenVerdict:
    """What a reader said of a study's result, with who and when.

    Attributes
    ----------
    outcome, priority, model, model_sha256, probability
        Of the result that it is about, whatever the study shows now; the score is that of any
        blood, None where nothing was analysed.
    """

    study_instance_uid: str
    accession_number: str
    agrees: bool
    cause: DisagreementCause | None
    comment: str
    outcome: Outcome | None
    priority: int
    job_id: int | None
    model: str | None
    model_sha256: str | None
    probability: float | None
    given_by: str
    given_at: datetime

    @property
    def bleeds(self) -> bool | None:
        """Whether the reader says that there is blood; None where the words leave it open.

        Who agrees with "uncertain" says neither, nor does one who disagrees for another reason.
        """
        if self.cause in BLEEDS:
            return True
        if self.cause is DisagreementCause.OTHER:
            return None
        match self.outcome:
            case Outcome.POSITIVE:
                return self.agrees
            case Outcome.NEGATIVE if self.agrees:
                return False
            case Outcome.INDETERMINATE if not self.agrees:
                return False
        return None


def acknowledge(session: Session, study: Study, who: str) -> None:
    """Note that somebody saw the result; the first one stays named.

    Raises
    ------
    ReadingError
        If there is no result yet.
    """
    if study.finished_at is None:
        raise ReadingError("there is no result yet that could be seen")
    if study.unread:
        study.acknowledged_at, study.acknowledged_by = read_clock(session), who


def require_shown(study: Study, result: str) -> None:
    """Make sure that a reader speaks of the result that is there now.

    Parameters
    ----------
    result
        When the result on the reader's page was finished; empty from a program that does not say.

    Raises
    ------
    OutdatedError
        If a newer result came after that page was made.
    """
    if result and study.finished_at is not None and result != iso(study.finished_at):
        raise OutdatedError(
            "This study got a newer result after your page was made. Nothing was changed:"
            " look at the newer one first."
        )


def take_back(session: Session, study: Study) -> None:
    """Make a study unread again."""
    study.acknowledged_at = study.acknowledged_by = None
    session.flush()


def give_verdict(session: Session, study: Study, opinion: Opinion, who: str) -> None:
    """Store what a reader says; whoever gives one has also seen it.

    Raises
    ------
    ReadingError
        If there is no result yet.
    """
    acknowledge(session, study, who)
    job = shown_job(study.series)
    session.add(
        Verdict(
            study_id=study.id,
            job_id=job.id if job else None,
            agrees=opinion.agrees,
            cause=opinion.cause,
            comment=opinion.comment,
            outcome=job.outcome if job else study.outcome,
            given_by=who,
            given_at=read_clock(session),
        )
    )


def read_verdicts(session: Session, study: Study | None = None) -> Iterator[GivenVerdict]:
    """Read what readers said, of one study or of all, oldest first."""
    of_any = sa.and_(Finding.job_id == Verdict.job_id, Finding.subtype == ANY)
    query = (
        sa.select(Verdict, Study, Job, Finding.probability)
        .join(Study, Study.id == Verdict.study_id)
        .outerjoin(Job, Job.id == Verdict.job_id)
        .outerjoin(Finding, of_any)
    )
    if study is not None:
        query = query.where(Study.id == study.id)
    for verdict, reviewed, job, probability in session.execute(query.order_by(Verdict.id)):
        yield GivenVerdict(
            study_instance_uid=reviewed.study_instance_uid,
            accession_number=reviewed.accession_number,
            agrees=verdict.agrees,
            cause=verdict.cause,
            comment=verdict.comment,
            outcome=verdict.outcome,
            priority=job.priority if job else reviewed.priority,
            job_id=verdict.job_id,
            model=job.model if job else None,
            model_sha256=job.model_sha256 if job else None,
            probability=probability,
            given_by=verdict.given_by,
            given_at=verdict.given_at,
        )


def escalate(database: Database, after: timedelta) -> int:
    """Call out critical results that nobody has seen for so long, each once; give how many.

    The event row is for whoever delivers; the row on the list becomes louder.
    """
    with database.reading() as session:
        found = overdue(session, read_clock(session) - after)
    count = 0
    for study_id in found:
        with database.transaction() as session:
            count += _escalate_one(session, study_id)
    if count:
        log.warning("critical_studies_unread", studies=count)
    return count


def overdue(session: Session, before: datetime) -> list[int]:
    """List studies whose newest critical result is from before, unseen and not called out.

    The study's own end tells neither: other series may wait still, or have ended later.
    """
    of_study = sa.and_(Series.study_id == Study.id, Job.priority == Level.CRITICAL)
    newest = sa.select(sa.func.max(Job.finished_at)).join(Series).where(of_study)
    critical_at = newest.correlate(Study).scalar_subquery()
    query = sa.select(Study.id).where(
        sa.text(CRITICAL_UNSEEN),
        critical_at <= before,
        sa.or_(Study.acknowledged_at.is_(None), Study.acknowledged_at < critical_at),
    )
    return list(session.scalars(query.limit(MOST_AT_ONCE)))


def _escalate_one(session: Session, study_id: int) -> int:
    now = read_clock(session)
    # Two pages may look at the same time: the one whose update finds the row has the event.
    changed = session.execute(
        sa.update(Study)
        .where(Study.id == study_id, Study.place == CRITICAL, Study.escalated_at.is_(None))
        .values(escalated_at=now)
        .returning(Study.finished_at)
    ).all()
    for (finished_at,) in changed:
        detail = {"finished_at": finished_at.isoformat() if finished_at else None}
        session.add(
            StudyEvent(study_id=study_id, kind=UNREAD_CRITICAL, created_at=now, detail=detail)
        )
    return len(changed)
