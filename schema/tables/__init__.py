"""The tables: typed SQLAlchemy 2 models for SQLite and PostgreSQL.

Times are UTC. Paths are relative to the storage folder, so that it may move.
"""

from schema.tables.analysis import Finding, Job, KeyPicture, ResultObject
from schema.tables.arrival import (
    Announcement,
    Association,
    Commitment,
    Instance,
    ProcedureStep,
    Series,
    StoreCheck,
)
from schema.tables.base import Base, Compatibility, UtcDateTime
from schema.tables.canary import Canary
from schema.tables.delivery import Delivery, Destination
from schema.tables.operation import Process, Rejection
from schema.tables.readers import LoginSession, User, Verdict
from schema.tables.study import (
    CRITICAL_UNSEEN,
    FILES_KEPT,
    UNSTATED,
    IdentityEvent,
    Study,
    StudyEvent,
)

__all__ = [
    "CRITICAL_UNSEEN",
    "FILES_KEPT",
    "UNSTATED",
    "Announcement",
    "Association",
    "Base",
    "Canary",
    "Commitment",
    "Compatibility",
    "Delivery",
    "Destination",
    "Finding",
    "IdentityEvent",
    "Instance",
    "Job",
    "KeyPicture",
    "LoginSession",
    "ProcedureStep",
    "Process",
    "Rejection",
    "ResultObject",
    "Series",
    "StoreCheck",
    "Study",
    "StudyEvent",
    "User",
    "UtcDateTime",
    "Verdict",
]
