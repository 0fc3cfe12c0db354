"""The report: a Comprehensive 3D SR by TID 1500 (PS3.16), preliminary and unverified."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import highdicom as hd
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code as SRCode

from schema.hemorrhage_subtypes import INTRACRANIAL_HEMORRHAGE, Claim, Subtype
from worker.findings import Finding
from worker.objects.author import (
    MANUFACTURER,
    MODEL_NAME,
    Label,
    Source,
    WrittenObject,
    authorship,
    coded,
    fingerprint,
    name_scheme,
    private,
    write_object,
)
from worker.objects.segmentation import tracking_uid
from worker.objects.statement import Statement, ascii_only
from worker.uids import software_version, stable_uid
from worker.wording import LEVEL_WORDS, NOT_FOR_DIAGNOSIS, OUTCOME_WORDS, SCORE, type_words

LABEL: Final = Label("SR", "SR", 9002, "AI hemorrhage report, research, not for diagnosis")
PRESENCE: Final = SRCode("705057003", "SCT", "Presence")
ABSENT: Final = SRCode("2667000", "SCT", "Absent")
PRESENT: Final = codes.SCT.Present
# Of a type that is only hinted at, and of what was not found where that excludes nothing.
UNDETERMINED: Final = codes.SCT.Undetermined
PROBABILITY: Final = SRCode("122157", "DCM", "Probability")
VOLUME: Final = SRCode("118565006", "SCT", "Volume")
VOXEL_SUM: Final = codes.DCM.SumOfSegmentedVoxelMethodForVolume
MILLILITRE: Final = SRCode("mL", "UCUM", "milliliter")
UNITLESS: Final = SRCode("1", "UCUM", "no units")
PROCEDURE: Final = SRCode("77477000", "SCT", "Computed tomography")
MOST_TEXT: Final = 1024  # characters of a text that viewers show whole

Group = (
    hd.sr.MeasurementsAndQualitativeEvaluations
    | hd.sr.VolumetricROIMeasurementsAndQualitativeEvaluations
)
LEVEL: Final = ("TRIAGE_LEVEL", "Triage level")
OUTCOME: Final = ("OUTCOME", "Outcome of the analysis")
TEXTS: Final = {
    "RULE": "Triage rule and measured values",
    "RULE_VERSION": "Version of the triage rule",
    "MODEL": "Model and digest of its weights",
    "LIMITS": "Coverage and limits",
    "STATUS": "Status of this report",
}


def write_report(
    source: Source,
    statement: Statement,
    seg: Dataset | None,
    folder: Path,
    label: Label = LABEL,
    previous: Dataset | None = None,
) -> WrittenObject:
    """Write the report of a study; also of a negative and of one that was not analysed.

    Parameters
    ----------
    seg
        The Segmentation that the findings refer to; None writes a report that locates nothing.
    previous
        The report that this one replaces.
    """
    refers_to = [str(report.SOPInstanceUID) for report in (seg, previous) if report is not None]
    identity = (*source.identity, label.audience, fingerprint(statement), *refers_to)
    uid = stable_uid(label.series, *identity)

    def make() -> hd.base.SOPClass:
        return _document(source, statement, seg, uid, label, previous)

    return write_object(label, source, uid, make, folder)


def _document(
    source: Source,
    statement: Statement,
    seg: Dataset | None,
    uid: str,
    label: Label,
    previous: Dataset | None,
) -> hd.base.SOPClass:
    report = hd.sr.MeasurementReport(
        observation_context=hd.sr.ObservationContext(observer_device_context=_device(statement)),
        procedure_reported=PROCEDURE,
        imaging_measurements=list(_groups(source, statement, seg)),
        title=codes.DCM.ImagingMeasurementReport,
    )
    document = hd.sr.Comprehensive3DSR(
        evidence=[*source.lent, *([seg] if seg is not None else [])],
        content=report[0],
        is_complete=True,
        is_final=False,  # PRELIMINARY
        is_verified=False,
        previous_versions=None if previous is None else [previous],
        **authorship(label, source, statement.model_sha256, uid),
    )
    name_scheme(document)
    return document


def _device(statement: Statement) -> hd.sr.ObserverContext:
    return hd.sr.ObserverContext(
        observer_type=codes.DCM.Device,
        observer_identifying_attributes=hd.sr.DeviceObserverIdentifyingAttributes(
            uid=stable_uid("device", statement.model_sha256, software_version()),
            name=MODEL_NAME,
            manufacturer_name=MANUFACTURER,
            model_name=MODEL_NAME,
            serial_number=statement.model_sha256[:16] or software_version(),
        ),
    )


def _groups(source: Source, statement: Statement, seg: Dataset | None) -> Iterator[Group]:
    yield _triage(source, statement)
    if statement.any is not None:
        yield _any(source, statement, statement.any)
    for subtype, finding in statement.told_apart:
        yield _type(source, statement, subtype, finding, seg)


def _triage(source: Source, statement: Statement) -> hd.sr.MeasurementsAndQualitativeEvaluations:
    """Say the level, the outcome, the rule and the limits, as codes and as text."""
    level = private(f"LEVEL_{statement.level}", LEVEL_WORDS[statement.level])
    outcome = private(str(statement.outcome), str(statement.outcome).replace("_", " ").lower())
    group = hd.sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=_tracking("Triage", stable_uid("tracking", source.study, "triage")),
        finding_type=coded(INTRACRANIAL_HEMORRHAGE),
        qualitative_evaluations=[
            hd.sr.QualitativeEvaluation(private(*LEVEL), level),
            hd.sr.QualitativeEvaluation(private(*OUTCOME), outcome),
        ],
    )
    for name, value in _texts(statement):
        item = hd.sr.TextContentItem(
            name=private(name, TEXTS[name]),
            value=ascii_only(value)[:MOST_TEXT],
            relationship_type=hd.sr.RelationshipTypeValues.CONTAINS,
        )
        group[0].ContentSequence.append(item)
    return group


def _texts(statement: Statement) -> Iterator[tuple[str, str]]:
    yield "STATUS", f"{OUTCOME_WORDS[statement.outcome]}. {NOT_FOR_DIAGNOSIS}; {SCORE}."
    yield "RULE", statement.reason
    if statement.rule_version is not None:
        yield "RULE_VERSION", statement.rule_version
    if statement.model:
        yield "MODEL", f"{statement.model} sha256 {statement.model_sha256}"
    if statement.caveats:
        yield "LIMITS", "; ".join(statement.caveats)


def _any(
    source: Source, statement: Statement, finding: Finding
) -> hd.sr.MeasurementsAndQualitativeEvaluations:
    return hd.sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=_tracking("Any", stable_uid("tracking", source.study, "any")),
        finding_type=coded(INTRACRANIAL_HEMORRHAGE),
        algorithm_id=_algorithm(statement),
        measurements=_measurements(finding),
        qualitative_evaluations=_presence(statement, finding, Claim.REPORTED),
    )


def _type(
    source: Source, statement: Statement, subtype: Subtype, finding: Finding, seg: Dataset | None
) -> Group:
    name = type_words(subtype.name, statement.claim(subtype), finding.present)
    shared: dict[str, Any] = {
        "tracking_identifier": _tracking(name, tracking_uid(source.study, subtype)),
        "finding_type": coded(subtype.finding),
        "finding_sites": [hd.sr.FindingSite(coded(subtype.region))],
        "algorithm_id": _algorithm(statement),
        "measurements": _measurements(finding),
        "qualitative_evaluations": _presence(statement, finding, statement.claim(subtype)),
    }
    if seg is None or not finding.present:
        return hd.sr.MeasurementsAndQualitativeEvaluations(**shared)
    segment = hd.sr.ReferencedSegment.from_segmentation(seg, subtype.segment_number)
    return hd.sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
        referenced_segment=segment, **shared
    )


def _tracking(name: str, uid: str) -> hd.sr.TrackingIdentifier:
    return hd.sr.TrackingIdentifier(uid=uid, identifier=name)


def _presence(
    statement: Statement, finding: Finding, claim: Claim
) -> Sequence[hd.sr.QualitativeEvaluation]:
    value = PRESENT if finding.present else ABSENT
    if claim is Claim.HINTED or not (finding.present or statement.may_exclude):
        value = UNDETERMINED
    return [hd.sr.QualitativeEvaluation(PRESENCE, value)]


def _measurements(finding: Finding) -> list[hd.sr.Measurement]:
    """Give the score, and the volume of what has one."""
    found = [hd.sr.Measurement(PROBABILITY, finding.probability, UNITLESS)]
    if finding.present:
        found.append(hd.sr.Measurement(VOLUME, finding.volume_ml, MILLILITRE, method=VOXEL_SUM))
    return found


def _algorithm(statement: Statement) -> hd.sr.AlgorithmIdentification:
    return hd.sr.AlgorithmIdentification(
        name=ascii_only(statement.model) or MODEL_NAME,
        version=software_version(),
        parameters=[f"model_sha256={statement.model_sha256}"],
    )
