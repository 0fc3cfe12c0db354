"""An ORU^R01 from a template that the site may edit (HL7 v2.5.1, chapter 7)."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import hl7
from jinja2 import StrictUndefined, TemplateError
from jinja2.sandbox import SandboxedEnvironment

from schema.errors import SettingsError
from worker.delivery.destinations import Hl7Destination
from worker.delivery.message import Message, told_apart
from worker.wording import NOTICE, OUTCOME_WORDS

SHIPPED: Final = Path(__file__).with_name("oru_r01.hl7")
ESCAPES: Final = {"\\": "\\E\\", "|": "\\F\\", "^": "\\S\\", "&": "\\T\\", "~": "\\R\\"}
LONGEST: Final = 400  # characters of a value; interfaces cut what is longer


def escape(value: Any) -> str:
    """Make a value safe between separators (HL7 v2.5.1 section 2.7); control characters go."""
    text = "".join(ESCAPES.get(char, char) for char in str(value)[:LONGEST])
    return "".join(char if char.isprintable() else " " for char in text)


def timestamp(moment: datetime) -> str:
    """Write a time as HL7 does, in UTC with its offset."""
    return moment.astimezone(UTC).strftime("%Y%m%d%H%M%S+0000")


def render(target: Hl7Destination, message: Message, now: datetime) -> str:
    """Fill the template in; segments end with a carriage return.

    Raises
    ------
    SettingsError
        The template is missing, wrong, or makes no message.
    """
    path = target.template or SHIPPED
    environment = SandboxedEnvironment(finalize=escape, undefined=StrictUndefined)
    environment.filters["timestamp"] = timestamp
    try:
        template = environment.from_string(path.read_text("utf-8"))
        text = template.render(
            to=target,
            result=message,
            now=now,
            findings=told_apart(message),
            priority_code=target.priority_codes.get(str(message.level), ""),
            outcome_words=OUTCOME_WORDS[message.outcome],
            notice=NOTICE,
        )
    except (OSError, ValueError, TypeError, TemplateError) as error:
        raise SettingsError(f"{target.name}: template {path}: {error}") from error
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return _checked(target, message, "\r".join(lines) + "\r")


def _checked(target: Hl7Destination, message: Message, text: str) -> str:
    """Parse the message once, as the other side will."""
    try:
        parsed = hl7.parse(text)
        control_id = str(parsed.segment("MSH")[10])
        parsed.segments("OBX")
    except (hl7.HL7Exception, KeyError, IndexError) as error:
        raise SettingsError(f"{target.name}: the template makes no ORU^R01: {error}") from error
    if control_id != message.key:
        raise SettingsError(f"{target.name}: the template must have result.key in MSH-10")
    return text
