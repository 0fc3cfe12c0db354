"""Test a destination without sending a result: each failure in words, with the next step."""

import json
from contextlib import closing
from dataclasses import dataclass
from typing import Final

from schema.errors import TriageError
from schema.settings import Settings
from worker.delivery import web
from worker.delivery.archive import (
    STORED,
    Archive,
    StorageCommitmentPushModel,
    StudyRootQueryRetrieveInformationModelFind,
    Verification,
    stored_classes,
)
from worker.delivery.destinations import (
    Destination,
    DicomDestination,
    FhirDestination,
    Hl7Destination,
)
from worker.delivery.transport import connect

MOST_METADATA: Final = 1 << 24  # bytes of a CapabilityStatement; some have megabytes


@dataclass(frozen=True)
class Finding:
    """One thing that was tried."""

    is_good: bool
    text: str


def probe(target: Destination, settings: Settings) -> list[Finding]:
    """Try what a delivery needs."""
    try:
        if isinstance(target, DicomDestination):
            return _probe_archive(target, settings.ae_title.strip())
        if isinstance(target, Hl7Destination):
            return _probe_mllp(target)
        if isinstance(target, FhirDestination):
            return _probe_fhir(target)
        web.post(target, "test", json.dumps({"event": "test"}).encode())
    except TriageError as error:
        return [Finding(False, str(error))]
    return [Finding(True, f"{target.url} accepts a signed test event")]


def _probe_archive(target: DicomDestination, ae_title: str) -> list[Finding]:
    wanted = stored_classes(target)
    extra = {
        "find": {"C-FIND": StudyRootQueryRetrieveInformationModelFind},
        "commitment": {"storage commitment": StorageCommitmentPushModel},
    }.get(target.confirm, {})
    contexts = wanted | extra
    where = f"{target.ae_title} at {target.host}:{target.port}"
    with Archive(target, ae_title).associated([Verification, *contexts.values()]) as assoc:
        accepted = {context.abstract_syntax for context in assoc.accepted_contexts}
        echoes = Verification in accepted and assoc.send_c_echo().get("Status") == 0
    echo = Finding(echoes, f"{where} {'answers' if echoes else 'does not answer'} C-ECHO")
    return [echo, *(_context(name, uid in accepted, target) for name, uid in contexts.items())]


def _context(name: str, is_accepted: bool, target: DicomDestination) -> Finding:
    if is_accepted:
        return Finding(True, f"accepts {name}")
    step = (
        f"take it out of objects in [destinations.{target.name}], or have the archive accept it"
        if name in STORED
        else "set confirm to another value, or have the archive offer it"
    )
    return Finding(False, f"does not accept {name}: {step}")


def _probe_mllp(target: Hl7Destination) -> list[Finding]:
    with closing(connect(target)):
        secured = " with TLS" if target.tls else ""
        return [Finding(True, f"{target.host}:{target.port} takes a connection{secured}")]


def _probe_fhir(target: FhirDestination) -> list[Finding]:
    headers = {"Accept": web.FHIR_JSON} | web.bearer(target.name, target.token_file)
    url = f"{target.url.rstrip('/')}/metadata"
    answer = web.request(target, "GET", url, MOST_METADATA, headers=headers)
    if answer.status != 200:
        return [Finding(False, f"{url} answered {answer.status}; check the url and the token")]
    try:
        version = str(json.loads(answer.body).get("fhirVersion", ""))
    except (ValueError, AttributeError):
        return [Finding(False, f"{url} gives no CapabilityStatement; check the url")]
    is_r4 = version.startswith("4.")
    return [Finding(is_r4, f"{url} says FHIR {version or 'nothing'}; R4 (4.0, 4.3) is sent")]
