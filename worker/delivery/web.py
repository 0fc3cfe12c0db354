"""HTTP to FHIR servers and webhooks."""

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from worker.delivery import fhir, webhook
from worker.delivery.destinations import FhirDestination, WebhookDestination
from worker.delivery.message import Message
from worker.delivery.statuses import (
    ConnectionLostError,
    DestinationDownError,
    RefusedError,
    check_http,
)
from worker.delivery.transport import client_context, read_secret

FHIR_JSON = "application/fhir+json"
BEGUN = "http11.send_request_headers.started"  # httpcore's name for what follows the connection


@dataclass(frozen=True)
class Answer:
    """What a server answered, as far as it was read."""

    status: int
    body: bytes


def client(target: FhirDestination | WebhookDestination) -> httpx.AsyncClient:
    """Make a client that trusts the destination's authority; no proxy, no redirects.

    Raises
    ------
    SettingsError
        The authority's file cannot be read.
    """
    context = client_context(target.name, target.ca_file)
    # Connecting and its TLS each end before the whole does: httpcore closes what times out by its
    # own clock, and leaves open what is cancelled in the middle of a handshake.
    times = httpx.Timeout(target.timeout_s, connect=target.timeout_s / 2)
    return httpx.AsyncClient(timeout=times, verify=context, trust_env=False)


def request(
    target: FhirDestination | WebhookDestination,
    method: str,
    url: str,
    most_bytes: int = 0,
    **given: Any,
) -> Answer:
    """Send a request.

    Parameters
    ----------
    most_bytes
        How much of the answer's body is read, about.

    Raises
    ------
    DestinationDownError
        It is not reachable; `ConnectionLostError` where it was, and gave no answer in the time that
        it has from the connection on.
    """
    steps: list[str] = []

    async def note(step: str, _: object) -> None:
        steps.append(step)

    given["extensions"] = {"trace": note}
    try:
        return asyncio.run(_exchange(target, method, url, most_bytes, given))
    except (TimeoutError, httpx.HTTPError) as error:
        was_connected = BEGUN in steps
        raise _why_not(target, error, was_connected) from error


def _why_not(
    target: FhirDestination | WebhookDestination, error: Exception, was_connected: bool
) -> DestinationDownError:
    reason = str(error) or type(error).__name__
    if isinstance(error, TimeoutError):
        reason = f"no answer in {target.timeout_s:g} s"
    if was_connected:
        return ConnectionLostError(f"{target.url} did not answer: {reason}")
    return DestinationDownError(f"{target.url} is not reachable: {reason}")


async def _exchange(
    target: FhirDestination | WebhookDestination,
    method: str,
    url: str,
    most_bytes: int,
    given: dict[str, Any],
) -> Answer:
    # httpx's own time is for each read: of a server that trickles it would never end.
    async with (
        asyncio.timeout(target.timeout_s),
        client(target) as connection,
        connection.stream(method, url, **given) as answer,
    ):
        return Answer(answer.status_code, await _read(answer, most_bytes))


async def _read(answer: httpx.Response, most_bytes: int) -> bytes:
    body = b""
    if most_bytes:
        async for piece in answer.aiter_bytes():
            body += piece
            if len(body) >= most_bytes:
                break
    return body


def send_fhir(target: FhirDestination, message: Message) -> None:
    """Send one result to a FHIR server.

    Raises
    ------
    DestinationDownError, NotNowError, RefusedError
        It was not accepted.
    """
    try:
        made = fhir.bundle(target, message)
    except ValueError as error:
        raise RefusedError(f"no valid FHIR was made of it: {type(error).__name__}") from error
    given = {"Content-Type": FHIR_JSON, "Accept": FHIR_JSON} | bearer(
        target.name, target.token_file
    )
    check_http(request(target, "POST", target.url, json=made, headers=given).status, "FHIR")


def bearer(name: str, path: Path | None) -> dict[str, str]:
    """Give the header of a bearer token, if there is one."""
    return {} if path is None else {"Authorization": f"Bearer {read_secret(name, path)}"}


def send_webhook(target: WebhookDestination, message: Message) -> None:
    """Send one result to a webhook.

    Raises
    ------
    DestinationDownError, NotNowError, RefusedError
        It was not accepted.
    """
    post(target, message.key, webhook.body(target, message))


def post(target: WebhookDestination, key: str, content: bytes) -> None:
    """Post signed content.

    Raises
    ------
    PermanentError, TransientError
        It was not accepted.
    """
    secret = read_secret(target.name, target.secret_file)
    given = webhook.headers(secret, int(time.time()), key, content)
    check_http(request(target, "POST", target.url, content=content, headers=given).status, "it")
