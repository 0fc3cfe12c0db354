"""Where results go: the file that TRIAGE_DESTINATIONS names, read and checked at the start."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from schema.errors import SettingsError
from schema.states import Level
from worker.forms import Forms, SegmentationType

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Port = Annotated[int, Field(ge=1, le=65535)]
AeTitle = Annotated[str, Field(pattern=r"^[\x21-\x5b\x5d-\x7e][\x20-\x5b\x5d-\x7e]{0,15}$")]
Url = Annotated[str, Field(pattern=r"^https?://[^\s]+$")]
ObjectKind = Literal["SEG", "SR", "SC", "KO"]

# While one delivery lasts its lease must not run out (`claims.LEASE`, 120 s), or a second worker
# sends the same; half a minute is for the database and the file. A C-STORE takes `timeout_s` once,
# from its first byte to its answer, and so does a request by HTTP. MLLP takes it for the
# connection, for TLS, and for the message with its acknowledgement.
LONGEST_S: Final = 90.0
MLLP_TIMES: Final = 3


class _Table(BaseModel):
    """A table of the file: a key that it doesn't know is an error, not a typo without effect."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class _Destination(_Table):
    """What every destination has."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
    timeout_s: Annotated[float, Field(gt=0, le=LONGEST_S)] = 20
    first_pause_s: Seconds = 5  # after a failure; doubled with each, up to
    longest_pause_s: Seconds = 3600
    probe_s: Seconds = 60  # how often, at least, one that is down is tried
    give_up_h: Seconds = 72


class _Tls(_Destination):
    """A destination that may want TLS, with a certificate of ours where it asks for one."""

    host: str
    port: Port
    tls: bool = False
    tls_ca: Path | None = None
    tls_certificate: Path | None = None
    tls_key: Path | None = None

    @model_validator(mode="after")
    def _belongs_together(self) -> "_Tls":
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key are set together")
        if not self.tls and (self.tls_ca or self.tls_certificate):
            raise ValueError("tls_ca and tls_certificate need tls = true")
        return self


class DicomDestination(_Tls):
    """An archive: C-STORE, then the proof that it keeps what it was sent."""

    kind: Literal["dicom"]
    ae_title: AeTitle
    profile: Literal["full", "triage-only"] = "full"
    objects: tuple[ObjectKind, ...] = ("SEG", "SR", "SC", "KO")
    segmentation: SegmentationType = "BINARY"
    confirm: Literal["commitment", "find", "none"] = "find"
    confirm_s: Seconds = 30  # how often an archive is asked again

    def takes(self, kind: str, audience: str) -> bool:
        """Say whether an object goes there."""
        return kind in self.objects and audience in self._audiences(kind)

    def _audiences(self, kind: str) -> tuple[str, ...]:
        """Say whose objects it gets; its report refers to no masks but those that it is sent.

        Nor to a label map: DCMTK 3.6.7 and dciodvfy refuse a report on a segment of one.
        """
        label_map = self.segmentation == "LABELMAP"
        masks_named = "SEG" in self.objects and not label_map
        if self.profile == "triage-only" or (kind == "SR" and not masks_named):
            return ("all", "triage")
        return ("labelmap",) if kind == "SEG" and label_map else ("all", "full")


class _Message(_Destination):
    """A destination that gets one message about each result with one of these levels."""

    levels: tuple[Level, ...] = tuple(Level)


class Hl7Destination(_Message, _Tls):
    """A RIS: ORU^R01 over MLLP, from a template."""

    kind: Literal["hl7"]
    timeout_s: Annotated[float, Field(gt=0, le=LONGEST_S / MLLP_TIMES)] = 20
    levels: tuple[Level, ...] = (Level.CRITICAL, Level.HIGH, Level.REVIEW)  # others move nothing
    unread: bool = False  # again, when nobody has seen a critical result; some RIS file it twice
    template: Path | None = None
    priority_codes: Mapping[str, str] = Field(default={"1": "S", "2": "A"})
    sending_application: str = "IHSNET"
    sending_facility: str = ""
    receiving_application: str = ""
    receiving_facility: str = ""
    processing_id: Literal["P", "T", "D"] = "P"

    @model_validator(mode="after")
    def _raises_only(self) -> "Hl7Destination":
        if not set(self.priority_codes) <= {"1", "2", "3"}:
            raise ValueError("priority_codes has levels 1 to 3 alone: others never move an order")
        return self


class FhirDestination(_Message):
    """A FHIR R4 server: a DiagnosticReport with its Observations."""

    kind: Literal["fhir"]
    url: Url
    token_file: Path | None = None
    ca_file: Path | None = None
    patient: bool = False
    patient_system: str | None = None
    accession_system: str | None = None


class WebhookDestination(_Message):
    """Any program: JSON that is signed with a shared secret."""

    kind: Literal["webhook"]
    url: Url
    secret_file: Path
    ca_file: Path | None = None
    patient: bool = False
    unread: bool = True  # say so when nobody has seen a critical result


Destination = Annotated[
    DicomDestination | Hl7Destination | FhirDestination | WebhookDestination,
    Field(discriminator="kind"),
]
MessageDestination = Hl7Destination | FhirDestination | WebhookDestination


class Destinations(_Table):
    """The whole file.

    `listen_port` is where archives report on storage commitment; `metrics_port` is for Prometheus
    where the worker has no page of its own.
    """

    listen_host: str = "0.0.0.0"
    listen_port: Port | None = None
    metrics_host: str = "127.0.0.1"
    metrics_port: Port | None = None
    destinations: tuple[Destination, ...] = ()

    @property
    def forms(self) -> Forms:
        """What is written: BINARY masks for the page and most viewers, the rest if one asks."""
        archives = [place for place in self.destinations if isinstance(place, DicomDestination)]
        label_map = any(archive.takes("SEG", "labelmap") for archive in archives)
        unlocated_report = any(archive.takes("SR", "triage") for archive in archives)
        return Forms(("BINARY", "LABELMAP") if label_map else ("BINARY",), unlocated_report)

    def named(self, name: str) -> Destination:
        """Give the destination of a name.

        Raises
        ------
        SettingsError
            There is none.
        """
        for destination in self.destinations:
            if destination.name == name:
                return destination
        known = ", ".join(destination.name for destination in self.destinations) or "none"
        raise SettingsError(f"{name!r} is no destination; TRIAGE_DESTINATIONS names: {known}")


NOWHERE: Final = Destinations()


def load_destinations(path: Path | None) -> Destinations:
    """Read the file; without one nothing is delivered.

    Raises
    ------
    SettingsError
        The file is missing, no TOML, or has an unknown key or a bad value; the message names the
        file and the key.
    """
    if path is None:
        return NOWHERE
    try:
        values = tomllib.loads(path.read_text("utf-8"))
        return Destinations.model_validate(_with_names(values, path.parent))
    except OSError as error:
        raise SettingsError(f"TRIAGE_DESTINATIONS: {path}: {error.strerror}") from error
    except ValidationError as error:
        raise SettingsError(f"TRIAGE_DESTINATIONS: {path}: {_first(error, values)}") from error
    except ValueError as error:
        raise SettingsError(f"TRIAGE_DESTINATIONS: {path}: {error}") from error


def _with_names(values: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Turn `[destinations.PACS]` into a destination with that name; paths are from the file's."""
    tables = values.get("destinations", {})
    if not isinstance(tables, dict) or not all(
        isinstance(table, dict) for table in tables.values()
    ):
        raise ValueError("destinations are tables: [destinations.NAME]")
    named = [{**_placed(table, folder), "name": name} for name, table in tables.items()]
    return values | {"destinations": named}


def _placed(table: dict[str, Any], folder: Path) -> dict[str, Any]:
    files = ("template", "secret_file", "token_file", "ca_file")
    tls = ("tls_ca", "tls_certificate", "tls_key")
    return {
        key: folder / value if key in (*files, *tls) and isinstance(value, str) else value
        for key, value in table.items()
    }


def _first(error: ValidationError, values: dict[str, Any]) -> str:
    """Name the key of the first error as it stands in the file; its value may be a secret."""
    errors = error.errors(include_input=False, include_url=False)
    # A key that is unknown is often the one that another error misses.
    found = min(errors, key=lambda problem: problem["type"] != "extra_forbidden")
    place = [str(part) for part in found["loc"]]
    if place[0] == "destinations" and len(place) > 1:
        place[1] = list(values["destinations"])[int(place[1])]
        del place[2:3]  # the kind, which pydantic puts in between
    message = "unknown key" if found["type"] == "extra_forbidden" else found["msg"]
    return f"{'.'.join(place)}: {message}; see docs/integration.md"
