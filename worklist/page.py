"""The radiologist's page and its JSON API: routes that ask one question and show the answer."""

from dataclasses import replace
from datetime import datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from urllib.parse import unquote_plus

from sqlalchemy.exc import SQLAlchemyError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from schema.database import Database
from schema.errors import PermanentError, TriageError
from schema.readers import Role
from schema.settings import Settings
from worklist import explaining, queries, serialization
from worklist.access.audit import Act, Trail, What
from worklist.access.guard import Access, Gate, address_of, needing, reader_of
from worklist.access.login_pages import AccessViews
from worklist.access.shown import Shown
from worklist.actions import Actions
from worklist.events import Events
from worklist.explanation import Explanation
from worklist.export import read_all, read_of_study
from worklist.filters import active_filters
from worklist.images.cache import make_cache
from worklist.images.preparing import Preparer
from worklist.images.views import ImageViews
from worklist.metrics import metrics_text
from worklist.modelcard import read_card
from worklist.opening import default_window
from worklist.performance import sum_up
from worklist.rendering import Templates
from worklist.security_headers import SecurityHeaders
from worklist.warnings import warnings_of
from worklist.window import JSON_ROWS, PAGE_ROWS, View, Window, read_window

STATIC = Path(__file__).parent / "static"
WALL_ROWS = 12
WARNING_HEADER = "Worklist-Warning"
UNREADABLE = (
    "The worklist cannot be read right now. No statement about any study is possible. "
    "Read all studies in their normal order and call the operator."
)


def make_app(database: Database, settings: Settings, events: Events | None = None) -> ASGIApp:
    """Build the application on one database and one storage folder."""
    templates = Templates(settings)
    trail, gate = Trail(settings), Gate(database, settings)
    views = Views(database, settings, templates, trail)
    actions = Actions(database, trail)
    images = ImageViews(database, settings, trail, Preparer(settings, make_cache(settings)))
    people = AccessViews(gate, templates, trail)
    events = events or Events(database)
    errors = Errors(templates)
    routes: list[BaseRoute] = [
        *views.routes(),
        *actions.routes(),
        *images.routes(),
        *people.routes(),
        Route("/events", events.stream),
        Mount("/static", StaticFiles(directory=STATIC)),
    ]
    inner = Starlette(
        routes=routes,
        middleware=[Middleware(Access, gate=gate, outage=errors.outage)],
        exception_handlers={
            HTTPException: errors.http,
            PermanentError: errors.refusal,
            TriageError: errors.outage,
            SQLAlchemyError: errors.outage,
            Exception: errors.outage,
        },
    )
    return SecurityHeaders(inner)


class Views:
    """The views; plain functions, so that Starlette keeps the database off its event loop."""

    def __init__(
        self, database: Database, settings: Settings, templates: Templates, trail: Trail
    ) -> None:
        self.database = database
        self.settings = settings
        self.templates = templates
        self.trail = trail
        self.shown = Shown()

    def routes(self) -> list[BaseRoute]:
        """Say which address shows what."""
        return [
            Route("/", self.worklist),
            Route("/wall", self.wall),
            # An accession number may have slashes; %2F is one before any route is looked for.
            Route("/study/{uid:path}", self.study),
            Route("/model", self.model),
            Route("/performance", needing(Role.READER, self.performance)),
            Route("/api/worklist", self.api_worklist),
            Route("/api/study/{uid:path}", self.api_study),
            Route("/api/verdicts", needing(Role.OPERATOR, self.api_verdicts)),
            Route("/metrics", needing(Role.OPERATOR, self.metrics)),
            Route("/health", self.health),
            Route("/healthz", self.ready),  # its name until 0.1.0
            Route("/ready", self.ready),
        ]

    def worklist(self, request: Request) -> Response:
        """Show the list."""
        window = self._window(request, PAGE_ROWS)
        worklist = queries.read_worklist(self.database, self.settings.storage, window)
        self._note_list(request)
        asked = {name: value for name, value in request.query_params.items() if value}
        return self.templates.show(
            request,
            "list.html",
            worklist=worklist,
            window=window,
            asked=asked,
            filters=active_filters(window, asked, self.settings.zone),
            stations=queries.read_stations(self.database),
        )

    def wall(self, request: Request) -> Response:
        """Show what is unread on a screen on the wall, without a name."""
        window = replace(default_window(self.settings, WALL_ROWS), view=View.UNREAD)
        worklist = queries.read_worklist(self.database, self.settings.storage, window)
        return self.templates.show(request, "wall.html", worklist=worklist)

    def study(self, request: Request) -> Response:
        """Show why a study got its outcome."""
        explanation = self._explanation(request)
        verdicts = read_of_study(self.database, explanation.entry.study_instance_uid)
        return self.templates.show(
            request, "study.html", explanation=explanation, verdicts=verdicts
        )

    def model(self, request: Request) -> Response:
        """Show the card of the model: what it may say, and what it was measured on."""
        card = read_card(self.settings)
        return self.templates.show(request, "model.html", card=card)

    def performance(self, request: Request) -> Response:
        """Show the site's own predictive values."""
        summed = sum_up(read_all(self.database))
        return self.templates.show(request, "performance.html", performance=summed)

    def api_worklist(self, request: Request) -> Response:
        """Answer the list as the contract's JSON, an array: what else is said stands in headers."""
        window = self._window(request, JSON_ROWS)
        worklist = queries.read_worklist(self.database, self.settings.storage, window)
        self._note_list(request)
        answer = JSONResponse(serialization.worklist_json(worklist))
        for words in warnings_of(worklist):
            answer.headers.append(WARNING_HEADER, words)
        if worklist.after:
            following = request.url.include_query_params(after=worklist.after.written())
            answer.headers["Link"] = f'<{following.path}?{following.query}>; rel="next"'
        return answer

    def api_study(self, request: Request) -> Response:
        """Answer the explanation as JSON."""
        return JSONResponse(serialization.explanation_json(self._explanation(request)))

    def api_verdicts(self, request: Request) -> Response:
        """Answer what readers said, for the trainer."""
        verdicts = read_all(self.database)
        self.trail.write(Act(What.EXPORTED, reader_of(request).name, address_of(request)))
        return JSONResponse(serialization.verdicts_json(verdicts))

    def metrics(self, request: Request) -> Response:
        """Answer what Prometheus asks for."""
        return PlainTextResponse(metrics_text(self.database))

    def health(self, request: Request) -> Response:
        """Say that the process answers."""
        return PlainTextResponse("ok\n")

    def ready(self, request: Request) -> Response:
        """Say whether the page can read the database."""
        queries.check_database(self.database)
        return PlainTextResponse("ok\n")

    def _window(self, request: Request, rows: int) -> Window:
        now = datetime.now(self.settings.zone)
        return read_window(dict(request.query_params), now, default_window(self.settings, rows))

    def _note_list(self, request: Request) -> None:
        who, where = reader_of(request).name, address_of(request)
        query = unquote_plus(request.url.query) or f"view={View.CURRENT}"
        if self.shown.is_new(who, where, query):
            self.trail.write(Act(What.LISTED, who, where, query=query))

    def _explanation(self, request: Request) -> Explanation:
        uid = request.path_params["uid"].rstrip("/")
        found = explaining.read_explanation(
            self.database, self.settings.storage, uid, timedelta(seconds=self.settings.study_late_s)
        )
        if found is None:
            raise HTTPException(HTTPStatus.NOT_FOUND, f"No study {uid} was received.")
        self.trail.write(
            Act(
                What.SEEN,
                reader_of(request).name,
                address_of(request),
                study_instance_uid=found.entry.study_instance_uid,
                patient_id=found.entry.patient_id,
            )
        )
        return found


class Errors:
    """What is answered when a view can't answer."""

    def __init__(self, templates: Templates) -> None:
        self.templates = templates

    def http(self, request: Request, error: Exception) -> Response:
        """Answer an unknown study or address, or what a role may not."""
        assert isinstance(error, HTTPException)
        title = "Not allowed" if error.status_code == HTTPStatus.FORBIDDEN else "Not found"
        return self._answer(request, error.status_code, title, error.detail)

    def refusal(self, request: Request, error: Exception) -> Response:
        """Answer a request that can't be met as it is: a filter, a study without result."""
        status = getattr(error, "status", HTTPStatus.BAD_REQUEST)
        return self._answer(request, status, "Not possible", str(error))

    def outage(self, request: Request, error: Exception) -> Response:
        """Answer what can't be read: never an empty list, which would look like an all-clear."""
        cause = str(error) if isinstance(error, TriageError) else type(error).__name__
        status = HTTPStatus.SERVICE_UNAVAILABLE
        return self._answer(request, status, "Worklist unavailable", UNREADABLE, cause)

    def _answer(
        self, request: Request, status: int, title: str, text: str, cause: str = ""
    ) -> Response:
        if request.url.path.startswith("/api/"):
            return JSONResponse({"error": text, "cause": cause}, status)
        if request.url.path in ("/healthz", "/ready", "/metrics"):
            return PlainTextResponse(f"{title}: {cause or text}\n", status)
        return self.templates.show(
            request, "problem.html", status, title=title, text=text, cause=cause
        )
