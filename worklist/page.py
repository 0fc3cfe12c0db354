"""The radiologist's page and its JSON API: routes that ask one question and show the answer."""

from http import HTTPStatus
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from schema.database import Database
from schema.errors import TriageError
from worklist import queries, serialization
from worklist.explanation import Explanation
from worklist.headers import SecurityHeaders
from worklist.rendering import render

STATIC = Path(__file__).parent / "static"
UNREADABLE = (
    "The worklist cannot be read right now. No statement about any study is possible. "
    "Read all studies in their normal order and call the operator."
)


def make_app(database: Database, storage: Path) -> ASGIApp:
    """Build the application on one database and one storage folder."""
    views = Views(database, storage)
    routes = [
        Route("/", views.worklist),
        Route("/study/{uid}", views.study),
        Route("/api/worklist", views.api_worklist),
        Route("/api/study/{uid}", views.api_study),
        Route("/healthz", views.health),
        Mount("/static", StaticFiles(directory=STATIC)),
    ]
    return SecurityHeaders(
        Starlette(
            routes=routes,
            exception_handlers={
                HTTPException: show_http_error,
                TriageError: show_outage,
                SQLAlchemyError: show_outage,
                Exception: show_outage,
            },
        )
    )


class Views:
    """The views; plain functions, so that Starlette keeps the database off its event loop."""

    def __init__(self, database: Database, storage: Path) -> None:
        self.database = database
        self.storage = storage

    def worklist(self, request: Request) -> Response:
        """Show the list."""
        return render("list.html", worklist=queries.read_worklist(self.database, self.storage))

    def study(self, request: Request) -> Response:
        """Show why a study got its outcome."""
        return render("study.html", explanation=self._explanation(request))

    def api_worklist(self, request: Request) -> Response:
        """Answer the list as the contract's JSON."""
        return JSONResponse(
            serialization.worklist_json(queries.read_worklist(self.database, self.storage))
        )

    def api_study(self, request: Request) -> Response:
        """Answer the explanation as JSON."""
        return JSONResponse(serialization.explanation_json(self._explanation(request)))

    def health(self, request: Request) -> Response:
        """Say whether the page can read the database."""
        queries.check_database(self.database)
        return PlainTextResponse("ok\n")

    def _explanation(self, request: Request) -> Explanation:
        uid = request.path_params["uid"]
        found = queries.read_explanation(self.database, self.storage, uid)
        if found is None:
            raise HTTPException(HTTPStatus.NOT_FOUND, f"No study {uid} was received.")
        return found


def show_http_error(request: Request, error: Exception) -> Response:
    """Answer an unknown study or address."""
    assert isinstance(error, HTTPException)
    return _answer(request, error.status_code, "Not found", error.detail)


def show_outage(request: Request, error: Exception) -> Response:
    """Answer what can't be read: never an empty list, which would look like an all-clear."""
    cause = str(error) if isinstance(error, TriageError) else type(error).__name__
    return _answer(
        request, HTTPStatus.SERVICE_UNAVAILABLE, "Worklist unavailable", UNREADABLE, cause
    )


def _answer(request: Request, status: int, title: str, text: str, cause: str = "") -> Response:
    if request.url.path.startswith("/api/"):
        return JSONResponse({"error": text, "cause": cause}, status)
    if request.url.path == "/healthz":
        return PlainTextResponse(f"{title}: {cause or text}\n", status)
    return render("problem.html", status, title=title, text=text, cause=cause)
