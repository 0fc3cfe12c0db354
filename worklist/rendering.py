"""The templates: everything from the network is escaped, and every time has its zone."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse

from schema.subtypes import SUBTYPES
from worklist import formatting
from worklist.entries import LATE_AFTER_S
from worklist.serialization import iso
from worklist.verdicts import WITH_FINDINGS, count_verdicts, judge, name_findings, name_level

TEMPLATES = Path(__file__).parent / "templates"
REFRESH_S = 10


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        calendar_date=formatting.calendar_date,
        clock=formatting.clock,
        duration=formatting.duration,
        flatten=formatting.flatten,
        iso=iso,
        person_name=formatting.person_name,
        printable=formatting.printable,
    )
    environment.globals.update(
        count_verdicts=count_verdicts,
        judge=judge,
        late_after_s=LATE_AFTER_S,
        name_findings=name_findings,
        name_level=name_level,
        refresh_s=REFRESH_S,
        subtype_names={subtype.key: subtype.name for subtype in SUBTYPES},
        with_findings=WITH_FINDINGS,
    )
    return environment


ENVIRONMENT = _environment()


def render(template: str, status: int = 200, **values: Any) -> HTMLResponse:
    """Fill a template; it knows the time at which it was filled."""
    page = ENVIRONMENT.get_template(template).render(now=datetime.now(UTC), **values)
    return HTMLResponse(page, status)
