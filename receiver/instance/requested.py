"""How an object was asked for and sent: what its study's place in the queue may follow from."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pydicom.dataset import Dataset

from receiver.protocol.values import text


@dataclass(frozen=True)
class Requested:
    """What an object says of the request behind it; what is absent is empty.

    Attributes
    ----------
    called_ae
        By which of our titles it was sent: Receiving Application Entity Title (0002,0018).
    priority
        Requested Procedure Priority (0040,1003).
    department, service, location
        Institutional Department Name, Requesting Service, Current Patient Location.
    """

    called_ae: str = ""
    priority: str = ""
    department: str = ""
    service: str = ""
    location: str = ""

    @property
    def locations(self) -> tuple[str, ...]:
        """All that says where the patient is or who asked."""
        return tuple(filter(None, (self.location, self.department, self.service)))

    def column(self) -> dict[str, str] | None:
        """Give what its series' row keeps; the title is its association's."""
        said = {name: value for name, value in asdict(self).items() if name != "called_ae"}
        return {name: value for name, value in said.items() if value} or None


def read_requested(ds: Dataset) -> Requested:
    """Take it out of a dataset with its file meta information."""
    return Requested(
        text(ds.file_meta, "ReceivingApplicationEntityTitle"),
        text(ds, "RequestedProcedurePriority"),
        text(ds, "InstitutionalDepartmentName"),
        text(ds, "RequestingService"),
        text(ds, "CurrentPatientLocation"),
    )


def requested_from(column: Mapping[str, Any] | None) -> Requested:
    """Make it of a row; what a later release wrote beside it is passed over."""
    given = column or {}
    return Requested(
        priority=given.get("priority", ""),
        department=given.get("department", ""),
        service=given.get("service", ""),
        location=given.get("location", ""),
    )
