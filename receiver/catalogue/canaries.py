"""What others send under the UID of a canary is theirs: their study is one that everybody sees."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from receiver.catalogue.arrivals import Arrival
from schema.tables import Canary

log = structlog.get_logger()

STRANGE: Final = (
    "something that we did not send came under its UID; its study is shown as any other"
)


def show_what_others_sent(
    session: Session, by_study: Mapping[int, Sequence[Arrival]], now: datetime
) -> None:
    """Make ordinary studies of canaries to which something came that we did not send."""
    canaries = session.scalars(select(Canary).where(Canary.study_id.in_(by_study))).all()
    for canary in canaries:
        theirs = by_study[canary.study_id or 0]
        if all(each.stored.sha256 in canary.digests for each in theirs):
            continue
        log.warning("a canary is none", canary=canary.id, reason=STRANGE)
        canary.study_id, canary.is_known, canary.detail = None, False, STRANGE
        canary.ended_at = canary.ended_at or now
