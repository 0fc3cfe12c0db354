"""Server-sent events: tell open pages that the list changed, so that they fetch it again."""

import asyncio
import time
from collections.abc import AsyncIterator

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from schema.database import Database
from schema.errors import TriageError
from worklist.listing import fingerprint

LOOK_S = 1.0
ALIVE_S = 15.0  # a proxy closes what is silent


class Events:
    """One look at the database a second, however many pages are open."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._seen = ""
        self._looked_at = float("-inf")
        self._stopping = False
        self._lock: asyncio.Lock | None = None

    def stop(self) -> None:
        """End every stream, so that the server can end."""
        self._stopping = True

    async def stream(self, request: Request) -> Response:
        """Answer with an event at once and at every change."""
        headers = {"X-Accel-Buffering": "no"}
        return StreamingResponse(self._changes(), media_type="text/event-stream", headers=headers)

    async def _changes(self) -> AsyncIterator[str]:
        last, told = await self._look(), time.monotonic()
        yield "retry: 2000\nevent: hello\ndata: 1\n\n"
        while not self._stopping:
            await asyncio.sleep(LOOK_S)
            seen = await self._look()
            if seen != last:
                last, told = seen, time.monotonic()
                yield "event: change\ndata: 1\n\n"
            elif time.monotonic() - told > ALIVE_S:
                told = time.monotonic()
                yield ": still here\n\n"

    async def _look(self) -> str:
        self._lock = self._lock or asyncio.Lock()
        async with self._lock:
            if time.monotonic() - self._looked_at >= LOOK_S:
                self._seen = await run_in_threadpool(self._read)
                self._looked_at = time.monotonic()
        return self._seen

    def _read(self) -> str:
        try:
            with self._database.reading() as session:
                return fingerprint(session)
        except TriageError:
            return "away"  # the page is to show that, too
