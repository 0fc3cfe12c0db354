"""`python -m receiver.stow.app NAME PLACES stow=DESCRIPTOR`: the STOW-RS port's own process.

Started and watched by `receiver.processes.pool`; needs neither the database nor the broker.
"""

import asyncio
import socket
import sys
import threading
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Final

import structlog
import uvicorn
from python_multipart.exceptions import FormParserError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from receiver.access.tls import CIPHERS, TlsFiles
from receiver.inbox import Inbox
from receiver.processes.pool import end_with_the_parent
from receiver.protocol.identity import require_uid
from receiver.stow.answer import (
    DICOM_JSON,
    RefusedRequestError,
    accepts_json,
    answer,
    boundary_of,
    http_status,
    is_authorised,
)
from receiver.stow.parts import StoreRequest
from schema.errors import SettingsError, StorageFullError, UnreadableObjectError
from schema.files import MEGABYTE, keep_private
from schema.log import set_up_log
from schema.settings import Settings, settings_or_exit

log = structlog.get_logger()

SILENCE_S: Final = 30.0  # between two pieces of a request's body
CONCURRENT: Final = 32  # requests at a time; each more is answered with 503


class StowService:
    """The two resources of Store Instances: /studies and /studies/{study}."""

    def __init__(self, settings: Settings, inbox: Inbox) -> None:
        if settings.stow_token is None:
            raise SettingsError("TRIAGE_STOW_TOKEN is unset: STOW-RS is off")
        self._token = settings.stow_token.get_secret_value()
        self._inbox = inbox
        self._max_bytes = settings.stow_max_mb * MEGABYTE
        self._max_object_bytes = settings.max_object_mb * MEGABYTE

    def app(self) -> Starlette:
        """Give the application."""
        paths = ("/studies", "/studies/{study}")
        return Starlette(routes=[Route(path, self.store, methods=["POST"]) for path in paths])

    async def store(self, request: Request) -> Response:
        """Answer a Store Instances request; the edge where errors become HTTP statuses."""
        peer = request.client.host if request.client else ""
        try:
            store, aborted = self._begin(request, peer), True
            try:
                await self._feed(store, request)
                aborted = False
            finally:
                await run_in_threadpool(store.close, aborted=aborted)
        except RefusedRequestError as error:
            log.warning("request refused", peer=peer, status=int(error.status), reason=str(error))
            headers = {"WWW-Authenticate": "Bearer"} if error.status == 401 else {}
            # The rest of the body is not read, so the connection is of no more use.
            headers["Connection"] = "close"
            return PlainTextResponse(f"{error}\n", error.status, headers)
        except (ClientDisconnect, TimeoutError):
            log.warning("request torn", peer=peer)
            return PlainTextResponse("torn\n", HTTPStatus.REQUEST_TIMEOUT)
        content = answer(store.results)
        return JSONResponse(content, http_status(store.results), media_type=DICOM_JSON)

    def _begin(self, request: Request, peer: str) -> StoreRequest:
        """Refuse what can be refused before a byte of the body is read."""
        headers = request.headers
        if not is_authorised(headers.get("authorization"), self._token):
            raise RefusedRequestError(HTTPStatus.UNAUTHORIZED, "the bearer token is not ours")
        boundary = boundary_of(headers.get("content-type"))
        if not accepts_json(headers.get("accept")):
            raise RefusedRequestError(HTTPStatus.NOT_ACCEPTABLE, f"answers are {DICOM_JSON}")
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > self._max_bytes:
            raise RefusedRequestError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "TRIAGE_STOW_MAX_MB")
        try:
            self._inbox.require_space()
        except StorageFullError as error:
            raise RefusedRequestError(HTTPStatus.SERVICE_UNAVAILABLE, str(error)) from error
        study = request.path_params.get("study")
        if study is not None:
            _require_study(study)
        return StoreRequest(self._inbox, peer, boundary, study, self._max_object_bytes)

    async def _feed(self, store: StoreRequest, request: Request) -> None:
        received = 0
        async for data in _pieces(request):
            received += len(data)
            if received > self._max_bytes:
                raise RefusedRequestError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "TRIAGE_STOW_MAX_MB")
            try:
                await run_in_threadpool(store.write, data)  # it waits for the disk
            except (FormParserError, UnreadableObjectError) as error:
                raise RefusedRequestError(
                    HTTPStatus.BAD_REQUEST, "the body is no multipart message"
                ) from error


def _require_study(study: str) -> None:
    try:
        require_uid("Study Instance UID", study)
    except UnreadableObjectError as error:
        raise RefusedRequestError(HTTPStatus.BAD_REQUEST, str(error)) from error


async def _pieces(request: Request) -> AsyncIterator[bytes]:
    stream = request.stream()
    while True:
        async with asyncio.timeout(SILENCE_S):
            data = await anext(stream, None)
        if data is None:
            return
        yield data


def configure(settings: Settings, app: Starlette) -> uvicorn.Config:
    """Configure the HTTP server; with our certificate where there is one."""
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,  # paths name studies
        server_header=False,
        limit_concurrency=CONCURRENT,
        timeout_graceful_shutdown=2,
    )
    files = TlsFiles.of(settings)
    if files is not None:
        config.ssl_certfile, config.ssl_keyfile = files.certificate, files.key
        config.ssl_ciphers = CIPHERS
    return config


def main() -> None:
    """Serve the inherited socket until SIGTERM, or until the parent is gone."""
    name, _places, port = sys.argv[1:]
    settings = settings_or_exit()
    set_up_log(settings)
    keep_private()
    service = StowService(settings, Inbox(settings.storage, settings.min_free_mb * MEGABYTE, name))
    threading.Thread(target=end_with_the_parent, daemon=True).start()
    listener = socket.socket(fileno=int(port.partition("=")[2]))
    server = uvicorn.Server(configure(settings, service.app()))
    asyncio.run(server.serve(sockets=[listener]))


if __name__ == "__main__":
    main()
