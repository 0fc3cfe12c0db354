"""A DiagnosticReport with its Observations as one FHIR R4 transaction, safe to repeat."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

from schema.hemorrhage_subtypes import ANY, INTRACRANIAL_HEMORRHAGE, SUBTYPES, Claim
from worker.delivery.destinations import FhirDestination
from worker.delivery.message import NAMES, Found, Message, told_apart
from worker.uids import stable_uid
from worker.wording import NOTICE, OUTCOME_WORDS, may_exclude

SYSTEM: Final = f"urn:oid:{stable_uid('coding scheme', '99IHSNET')}"
SNOMED: Final = "http://snomed.info/sct"
UNDETERMINED: Final = "373068000"
ABSENT: Final = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
UCUM: Final = "http://unitsofmeasure.org"
SERVICE: Final = "http://terminology.hl7.org/CodeSystem/v2-0074"  # HL7 table 0074
CODES: Final = {ANY: INTRACRANIAL_HEMORRHAGE} | {
    subtype.key: subtype.finding for subtype in SUBTYPES
}

Json = dict[str, Any]


def bundle(target: FhirDestination, message: Message) -> Json:
    """Make the transaction; each resource is created or updated by its own identifier.

    Raises
    ------
    ValueError
        It is no valid bundle.
    """
    observations = list(_observations(target, message))
    report = _report(target, message, [entry["fullUrl"] for entry in observations])
    taken_back = _taken_back(target, message)
    last = _entry("DiagnosticReport", message.study_instance_uid, report)
    entries = [*observations, *taken_back, last]
    made = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    _validate(made)
    return made


def _validate(made: Json) -> None:
    from fhir.resources.R4B.bundle import Bundle  # a second to import, and only where FHIR is used

    Bundle.model_validate(made)


def _report(target: FhirDestination, message: Message, results: list[str]) -> Json:
    report = _common(target, message, message.study_instance_uid)
    report |= {
        "resourceType": "DiagnosticReport",
        "category": [{"coding": [{"system": SERVICE, "code": "RAD", "display": "Radiology"}]}],
        "code": _own("HEADCT-AI", "Head CT triage by AI"),
        "issued": _moment(message.finished_at),
        "result": [{"reference": url} for url in results],
        "imagingStudy": [_study(message)],
        "conclusion": f"{OUTCOME_WORDS[message.outcome]}. {message.reason}. {NOTICE}.",
    }
    if message.accession_number and target.accession_system:
        order = {"system": target.accession_system, "value": message.accession_number}
        report["basedOn"] = [{"type": "ServiceRequest", "identifier": order}]
    return report


def _observations(target: FhirDestination, message: Message) -> Iterator[Json]:
    triage = _observation(target, message, "triage", _own("LEVEL", "Triage level"))
    triage["valueInteger"] = message.level
    triage["note"] = [{"text": message.reason}] if message.reason else [{"text": NOTICE}]
    yield _entry("Observation", triage["identifier"][0]["value"], triage)
    for found in told_apart(message):
        observation = _finding(target, message, found)
        yield _entry("Observation", observation["identifier"][0]["value"], observation)


def _taken_back(target: FhirDestination, message: Message) -> Iterator[Json]:
    """Cancel what this message does not speak of: an earlier one may have, and the server keeps it.

    Cancelled, and not entered in error: it was what the images showed that were there.
    """
    said = {found.subtype for found in told_apart(message)}
    for subtype in (subtype for subtype in CODES if subtype not in said):
        concept = _concept(subtype, NAMES[subtype])
        observation = _observation(target, message, subtype, concept)
        observation["status"] = "cancelled"
        absent = {"system": ABSENT, "code": "not-performed", "display": "Not Performed"}
        observation["dataAbsentReason"] = {"coding": [absent]}
        yield _entry("Observation", observation["identifier"][0]["value"], observation)


def _concept(subtype: str, text: str) -> Json:
    code = CODES[subtype]
    coding = {"system": SNOMED, "code": code.value, "display": code.meaning}
    return {"coding": [coding], "text": text}


def _finding(target: FhirDestination, message: Message, found: Found) -> Json:
    concept = _concept(found.subtype, found.said)
    observation = _observation(target, message, found.subtype, concept)
    volume = {"value": round(found.volume_ml, 3), "unit": "mL", "system": UCUM, "code": "mL"}
    score = {"value": round(found.probability, 4), "system": UCUM, "code": "1"}
    observation |= _presence(message, found) | {
        "component": [
            {"code": _own("SCORE", "Score of the model"), "valueQuantity": score},
            {"code": _own("VOLUME", "Volume of the mask"), "valueQuantity": volume},
        ],
    }
    return observation


def _presence(message: Message, found: Found) -> Json:
    """Say yes or no where the model may; else that it is undetermined, as the report does."""
    if found.claim is not Claim.HINTED and (
        found.present or may_exclude(message.outcome, message.coverage)
    ):
        return {"valueBoolean": found.present}
    coding = {"system": SNOMED, "code": UNDETERMINED, "display": "Undetermined"}
    return {"valueCodeableConcept": {"coding": [coding], "text": "Undetermined"}}


def _observation(target: FhirDestination, message: Message, what: str, code: Json) -> Json:
    observation = _common(target, message, f"{message.study_instance_uid}.{what}")
    observation |= {
        "resourceType": "Observation",
        "code": code,
        "effectiveDateTime": _moment(message.finished_at),
        "derivedFrom": [_study(message)],
    }
    return observation


def _common(target: FhirDestination, message: Message, name: str) -> Json:
    shared: Json = {"identifier": [{"system": SYSTEM, "value": name}], "status": "preliminary"}
    if target.patient and message.patient_id:
        patient = {"system": target.patient_system, "value": message.patient_id}
        identifier = {key: value for key, value in patient.items() if value}
        shared["subject"] = {"type": "Patient", "identifier": identifier}
    return shared


def _entry(kind: str, name: str, resource: Json) -> Json:
    request = {"method": "PUT", "url": f"{kind}?identifier={SYSTEM}|{name}"}
    url = f"urn:uuid:{uuid5(NAMESPACE_URL, f'{kind}/{name}')}"
    return {"fullUrl": url, "resource": resource, "request": request}


def _study(message: Message) -> Json:
    uid = {"system": "urn:dicom:uid", "value": f"urn:oid:{message.study_instance_uid}"}
    return {"type": "ImagingStudy", "identifier": uid}


def _own(code: str, text: str) -> Json:
    return {"coding": [{"system": SYSTEM, "code": code, "display": text}], "text": text}


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")
