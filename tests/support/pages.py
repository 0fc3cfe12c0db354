"""A browser without a screen: asks the application itself, without a port, and keeps cookies."""

import asyncio
import re
from collections.abc import Mapping
from typing import Any

import httpx
from starlette.types import ASGIApp


class Browser:
    """Sends what a browser would send from one address."""

    def __init__(self, app: ASGIApp, address: str = "127.0.0.1") -> None:
        self.transport = httpx.ASGITransport(app, client=(address, 1), raise_app_exceptions=False)
        self.cookies: dict[str, str] = {}

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> httpx.Response:
        return self.send("GET", path, headers)

    def post(
        self, path: str, form: Mapping[str, str], headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        return self.send("POST", path, headers, dict(form))

    def send(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        form: dict[str, str] | None = None,
    ) -> httpx.Response:
        return asyncio.run(self._send(method, path, dict(headers or {}), form))

    def log_in(self, name: str, password: str) -> httpx.Response:
        return self.post("/login", {"name": name, "password": password, "next": "/"})

    def token(self, path: str = "/") -> str:
        """Read the CSRF token out of a page's form."""
        found = re.search(r'name="csrf" value="([^"]+)"', self.get(path).text)
        return found[1] if found else ""

    async def _send(self, method: str, path: str, headers: dict[str, str], form: Any) -> Any:
        async with httpx.AsyncClient(
            transport=self.transport, base_url="http://localhost", cookies=self.cookies
        ) as client:
            answer = await client.request(method, path, headers=headers, data=form)
            self.cookies = dict(client.cookies)
            return answer
