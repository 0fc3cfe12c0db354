"""What a reader's click changes: acknowledge, take back, agree, disagree."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import parse_qsl

from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from schema.database import Database
from schema.readers import DisagreementCause
from schema.studies import lock_study
from schema.tables import Study
from worklist import acknowledgement
from worklist.access.audit import Act, Trail, What
from worklist.access.guard import address_of, own_path, reader_of
from worklist.access.sessions import Reader
from worklist.acknowledgement import Opinion, ReadingError
from worklist.queries import find_study

LARGEST_FORM = 16384
Change = Callable[[Session, Study, str], None]


@dataclass(frozen=True)
class Actions:
    """The routes that change something; a form goes back to its page, the API gets JSON."""

    database: Database
    trail: Trail

    def routes(self) -> list[BaseRoute]:
        """Say which address changes what."""
        posts = (self.acknowledge, self.take_back, self.verdict)
        return [
            Route(
                f"{root}/study/{{uid:path}}/{post.__name__.replace('_', '-')}",
                post,
                methods=["POST"],
            )
            for root in ("", "/api")
            for post in posts
        ]

    async def acknowledge(self, request: Request) -> Response:
        """Note that the reader saw the result."""
        result = (await read_form(request)).get("result", "")

        def acknowledge(session: Session, study: Study, who: str) -> None:
            acknowledgement.require_shown(study, result)
            acknowledgement.acknowledge(session, study, who)

        return await self._change(request, What.ACKNOWLEDGED, acknowledge)

    async def take_back(self, request: Request) -> Response:
        """Make the study unread again."""

        def take_back(session: Session, study: Study, _who: str) -> None:
            acknowledgement.take_back(session, study)

        return await self._change(request, What.TAKEN_BACK, take_back)

    async def verdict(self, request: Request) -> Response:
        """Store whether the reader agrees, and why not."""
        form = await read_form(request)
        opinion = read_opinion(form)

        def agree(session: Session, study: Study, who: str) -> None:
            acknowledgement.require_shown(study, form.get("result", ""))
            acknowledgement.give_verdict(session, study, opinion, who)

        return await self._change(request, What.AGREED if opinion.agrees else What.DISAGREED, agree)

    async def _change(self, request: Request, what: What, change: Change) -> Response:
        form = await read_form(request)
        await run_in_threadpool(self._apply, request, what, change)
        if request.url.path.startswith("/api/"):
            return JSONResponse({"done": what.name.lower()})
        return RedirectResponse(own_path(form.get("next", "/")), HTTPStatus.SEE_OTHER)

    def _apply(self, request: Request, what: What, change: Change) -> None:
        who, uid = reader_of(request).name, request.path_params["uid"]
        with self.database.transaction() as session:
            study = find_study(session, uid)
            if study is None:
                raise HTTPException(HTTPStatus.NOT_FOUND, f"No study {uid} was received.")
            # A result that is about to be stored comes first: nobody has seen that one.
            study = lock_study(session, study.id)
            change(session, study, who)
            uid, patient_id = study.study_instance_uid, study.patient_id
        self.trail.write(
            Act(what, who, address_of(request), study_instance_uid=uid, patient_id=patient_id)
        )


def read_opinion(form: dict[str, str]) -> Opinion:
    """Read what a reader says.

    Raises
    ------
    ReadingError
        If it is neither agreement nor disagreement, or both, or its cause is none.
    """
    if form.get("agrees") not in ("yes", "no"):
        raise ReadingError("agrees: either yes or no")
    cause = form.get("cause") or None
    if cause is not None and cause not in DisagreementCause.__members__:
        raise ReadingError(f"cause: none of {', '.join(DisagreementCause)}")
    agrees = form["agrees"] == "yes"
    if agrees and cause:
        raise ReadingError(
            f"cause: {cause} is a cause to disagree. Nothing was stored: disagree, or name no cause"
        )
    return Opinion(
        agrees=agrees,
        cause=DisagreementCause(cause) if cause else None,
        comment=form.get("comment", "").strip(),
    )


async def read_form(request: Request) -> dict[str, str]:
    """Read a form (application/x-www-form-urlencoded) and make sure that our own page sent it.

    Raises
    ------
    HTTPException
        If it is too large, or its token is not the session's.
    """
    if not hasattr(request.state, "form"):
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > LARGEST_FORM:
                raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "This form is too large.")
        request.state.form = dict(parse_qsl(body.decode(errors="replace")))
    form: dict[str, str] = request.state.form
    reader: Reader | None = request.scope.get("reader")  # who logs in is none yet
    expected = reader.csrf_token if reader else ""
    given = request.headers.get("x-csrf-token") or form.get("csrf", "")
    if expected and not secrets.compare_digest(given.encode(), expected.encode()):
        raise HTTPException(HTTPStatus.FORBIDDEN, "This form is not of your login; load it again.")
    return form
