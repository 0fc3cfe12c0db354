"""The schema of an AuditMessage (PS3.15 section A.5.1) as a table, and what breaks it."""

import re
from dataclasses import dataclass, field
from xml.etree.ElementTree import Element, fromstring

TOKEN = r"\S(.*\S)?"
BASE64 = r"([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?"
DATE_TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?"


@dataclass(frozen=True)
class Rule:
    """What an element holds: children as an expression of their names, attributes, text."""

    children: str = ""
    required: dict[str, str] = field(default_factory=dict)
    optional: dict[str, str] = field(default_factory=dict)
    text: str = r"\s*"


CODED = Rule(
    required={"csd-code": TOKEN, "codeSystemName": TOKEN, "originalText": TOKEN},
    optional={"displayName": TOKEN},
)
RULES = {
    "AuditMessage": Rule(
        "EventIdentification (ActiveParticipant )+AuditSourceIdentification "
        "(ParticipantObjectIdentification )*"
    ),
    "EventIdentification": Rule(
        "EventID (EventTypeCode )*(EventOutcomeDescription )?",
        required={"EventDateTime": DATE_TIME, "EventOutcomeIndicator": "0|4|8|12"},
        optional={"EventActionCode": "[CRUDE]"},
    ),
    "ActiveParticipant": Rule(
        "(RoleIDCode )*(MediaIdentifier )?",
        required={"UserID": ".*", "UserIsRequestor": "true|false"},
        optional={
            "AlternativeUserID": ".*",
            "UserName": ".*",
            "NetworkAccessPointID": TOKEN,
            "NetworkAccessPointTypeCode": "[1-5]",
        },
    ),
    "AuditSourceIdentification": Rule(
        "(AuditSourceTypeCode )*",
        required={"AuditSourceID": TOKEN},
        optional={"AuditEnterpriseSiteID": TOKEN},
    ),
    "ParticipantObjectIdentification": Rule(
        "ParticipantObjectIDTypeCode (ParticipantObjectName |ParticipantObjectQuery )"
        "(ParticipantObjectDetail )*(ParticipantObjectDescription )*",
        required={"ParticipantObjectID": TOKEN},
        optional={
            "ParticipantObjectTypeCode": "[1-4]",
            "ParticipantObjectTypeCodeRole": "[1-9]|1[0-9]|2[0-6]",
            "ParticipantObjectDataLifeCycle": "[1-9]|1[0-5]",
            "ParticipantObjectSensitivity": TOKEN,
        },
    ),
    "ParticipantObjectName": Rule(text=TOKEN),
    "ParticipantObjectQuery": Rule(text=BASE64),
    "EventID": CODED,
    "EventTypeCode": CODED,
    "RoleIDCode": CODED,
    "ParticipantObjectIDTypeCode": CODED,
}


def faults(message: str) -> list[str]:
    """List where a message breaks the schema."""
    root = fromstring(message)
    found = [] if root.tag == "AuditMessage" else [f"{root.tag} is no AuditMessage"]
    return found + _faults(root)


def _faults(element: Element) -> list[str]:
    rule = RULES[element.tag]
    found = []
    names = "".join(f"{child.tag} " for child in element)
    if not re.fullmatch(rule.children, names):
        found.append(f"{element.tag} holds {names or 'nothing'}")
    if not re.fullmatch(rule.text, element.text or ""):
        found.append(f"{element.tag} has the text {element.text!r}")
    found += [f"{element.tag} has no {name}" for name in rule.required.keys() - element.keys()]
    allowed = rule.required | rule.optional
    for name, value in element.items():
        if not re.fullmatch(allowed.get(name, "(?!)"), value):
            found.append(f"{element.tag} has {name}={value!r}")
    return found + [fault for child in element for fault in _faults(child)]
