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
)
from schema.tables.base import Base, Compatibility, UtcDateTime
from schema.tables.delivery import Delivery, Destination
from schema.tables.readers import LoginSession, User, Verdict
from schema.tables.study import IdentityEvent, Study, StudyEvent

__all__ = [
    "Announcement",
    "Association",
    "Base",
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
    "ResultObject",
    "Series",
    "Study",
    "StudyEvent",
    "User",
    "UtcDateTime",
    "Verdict",
]
