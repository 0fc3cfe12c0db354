"""The templates: everything from the network is escaped, and every time has its zone."""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse

from schema.hemorrhage_subtypes import SUBTYPES
from schema.settings import Settings
from schema.shares import percent
from schema.states import Outcome, StudyState
from worklist import formatting, viewing
from worklist.access.guard import LOCAL
from worklist.access.sessions import Reader
from worklist.coverage import part_seen
from worklist.entries import Entry
from worklist.listing import COUNTED_TO
from worklist.queueing import name_place
from worklist.timeline import timeline
from worklist.unlikeness import unlike_training
from worklist.warnings import empty_means, warnings_of
from worklist.window import Place, View
from worklist.wording import (
    CAUSES,
    marks_of,
    name_findings,
    name_level,
    say_claim,
    seen_by,
    summarise,
    wording_of,
)

TEMPLATES = Path(__file__).parent / "templates"


class Templates:
    """Fills the pages of one site."""

    def __init__(self, settings: Settings) -> None:
        self._environment = _environment(settings)

    def show(
        self, request: Request | None, template: str, status: int = 200, **values: Any
    ) -> HTMLResponse:
        """Fill a template; it knows who looks and the time at which it was filled."""
        reader: Reader | None = request.scope.get("reader") if request else LOCAL
        here = f"{request.url.path}?{request.url.query}".rstrip("?") if request else "/"
        page = self._environment.get_template(template).render(
            now=datetime.now(UTC), reader=reader, here=here, **values
        )
        return HTMLResponse(page, status)


def _environment(settings: Settings) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        calendar_date=formatting.calendar_date,
        clock=partial(formatting.clock, zone=settings.zone),
        clock_time=formatting.clock_time,
        duration=formatting.duration,
        flatten=formatting.flatten,
        iso=formatting.iso,
        percent=percent,
        person_name=formatting.person_name,
        printable=formatting.printable,
        short_clock=partial(formatting.short_clock, zone=settings.zone),
    )
    environment.globals.update(
        causes=CAUSES,
        empty_means=empty_means,
        counted=lambda number: "999+" if number >= COUNTED_TO else str(number),
        following=_following,
        layers=viewing.layers,
        wording_of=wording_of,
        marks_of=marks_of,
        name_findings=name_findings,
        name_level=name_level,
        name_place=partial(name_place, zone=settings.zone),
        outcomes=list(Outcome),
        part_seen=part_seen,
        person=_person,
        presets=viewing.PRESETS,
        say_claim=say_claim,
        seen_by=seen_by,
        shown_job=viewing.shown_job,
        states=list(StudyState),
        strip=viewing.strip,
        subtype_names={subtype.key: subtype.name for subtype in SUBTYPES},
        summarise=summarise,
        timeline=timeline,
        unlike_training=unlike_training,
        viewer_url=settings.viewer_url or "",
        views=list(View),
        warnings_of=warnings_of,
    )
    return environment


def _following(asked: Mapping[str, str], after: Place) -> str:
    """Give the address of the next page, with the filters of this one."""
    return "/?" + urlencode({**asked, "after": after.written()})


def _person(entry: Entry) -> str:
    """Say sex and birth date, as far as they were sent."""
    born = formatting.calendar_date(entry.patient_birth_date)
    said = [formatting.printable(entry.patient_sex), f"born {born}" if born else ""]
    words = ", ".join(filter(None, said))
    return f"{words} · " if words else ""
