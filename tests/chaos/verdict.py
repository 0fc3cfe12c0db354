"""What became of everything: nothing lost, nothing twice, one outcome for each study."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import sqlalchemy as sa
from pydicom import dcmread
from sqlalchemy.orm import Session

from schema.states import DeliveryState, Outcome, StudyState
from schema.tables import Delivery, Instance, Job, ResultObject, Series, Study
from tests.chaos.hospital import Hospital
from tests.chaos.modalities import Modalities
from tests.support.processes import dataset_sha256

OVER = (DeliveryState.COMMITTED, DeliveryState.DELIVERED)


@dataclass
class Verdict:
    """Counts that must be zero, by name, and counts that tell what was looked at."""

    faults: dict[str, int] = field(default_factory=dict)
    facts: dict[str, int] = field(default_factory=dict)
    details: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        """Say whether nothing is wrong, and whether anything was looked at."""
        return not any(self.faults.values()) and all(self.facts.values())


def judge(site: Hospital, sent: Modalities) -> Verdict:
    """Look at rows, files and the archive."""
    verdict = Verdict()
    with site.database.reading() as session:
        _look_at_objects(session, site.settings.storage, sent.acknowledged, verdict)
        _look_at_studies(session, sent.studies, verdict)
        _look_at_decisions(session, site, sent, verdict)
        _look_at_deliveries(session, site, verdict)
    return verdict


def _look_at_objects(
    session: Session, storage: Path, acknowledged: Mapping[str, str], verdict: Verdict
) -> None:
    paths = session.execute(sa.select(Instance.sop_instance_uid, Instance.path)).all()
    counts = Counter(uid for uid, _ in paths)
    kept = {uid: dataset_sha256(storage / path) for uid, path in paths}
    verdict.facts["images acknowledged"] = len(acknowledged)
    verdict.faults |= {
        "acknowledged images without a row": len(acknowledged.keys() - counts.keys()),
        "images with two rows": sum(count > 1 for count in counts.values()),
        "acknowledged images with another content": sum(
            kept.get(uid, sha256) != sha256 for uid, sha256 in acknowledged.items()
        ),
    }


def _look_at_studies(session: Session, sent: Mapping[str, int], verdict: Verdict) -> None:
    studies = {study.study_instance_uid: study for study in session.scalars(sa.select(Study))}
    ended = [study for study in studies.values() if study.state == StudyState.DONE]
    outcomes = Counter(str(study.outcome) for study in ended)
    verdict.facts |= {"studies sent": len(sent), "studies ended": len(ended)}
    verdict.facts |= {f"of them {outcome}": count for outcome, count in sorted(outcomes.items())}
    verdict.faults |= {
        "studies without a row": len(sent.keys() - studies.keys()),
        "studies not at their end": len(studies) - len(ended),
        "studies that FAILED": outcomes[str(Outcome.FAILED)],
        "studies without an outcome": outcomes[str(None)],
        "series with two jobs of one revision": _doubled_jobs(session),
    }


def _look_at_decisions(
    session: Session, site: Hospital, sent: Modalities, verdict: Verdict
) -> None:
    """Tell studies that were decided on too early from those whose scanner was silent so long."""
    silence_s = site.settings.series_silence_s
    revised = _revised(session)
    early = [uid for uid in revised if sent.longest_pause_s.get(uid, 0) < silence_s]
    verdict.faults["studies decided before their last image"] = len(early)
    for uid in early:
        said = [line for line in site.log_lines() if uid in line and "series decided" in line]
        verdict.details += [f"paused {sent.longest_pause_s[uid]:.1f} s at most", *said]


def _revised(session: Session) -> list[str]:
    """Give the studies that have a second job, since an image came after the first."""
    rows = session.execute(
        sa.select(Study.study_instance_uid, sa.func.count(sa.distinct(Job.revision)))
        .join(Series, Series.study_id == Study.id)
        .join(Job, Job.series_id == Series.id)
        .group_by(Study.study_instance_uid)
    ).all()
    return [uid for uid, revisions in rows if revisions > 1]


def _doubled_jobs(session: Session) -> int:
    pairs = sa.select(Job.series_id).group_by(Job.series_id, Job.revision)
    return len(session.scalars(pairs.having(sa.func.count() > 1)).all())


def _look_at_deliveries(session: Session, site: Hospital, verdict: Verdict) -> None:
    """Compare the outbox with the archive.

    A study without an eligible series is stated minutes after its end, so another may be written
    and sent while we look: what must have arrived is read before the archive is, what may have
    arrived after it.
    """
    rows = sa.select(ResultObject.sop_instance_uid, Delivery.state).join(Delivery)
    due = dict(session.execute(rows).all())
    arrived = Counter(_uid(site, identifier) for identifier in site.orthanc.instances())
    written = set(session.scalars(sa.select(ResultObject.sop_instance_uid)))
    missing = due.keys() - arrived.keys()
    verdict.facts |= {"results written": len(written), "results in the PACS": len(arrived)}
    verdict.faults |= {
        "results that did not arrive": len(missing),
        "strangers in the PACS": len(arrived.keys() - written),
        "deliveries not at their end": sum(state not in OVER for state in due.values()),
    }
    verdict.details += [f"not in the PACS: {uid}, {due[uid]}" for uid in sorted(missing)]


def _uid(site: Hospital, identifier: str) -> str:
    content = BytesIO(site.orthanc.file(identifier))
    return str(dcmread(content, stop_before_pixels=True).SOPInstanceUID)
