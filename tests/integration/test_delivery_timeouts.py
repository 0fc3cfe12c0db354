"""An answer has its time as a whole, and no more of it is read than is used."""

from pathlib import Path

import pytest

from tests.support.listeners import hanging_up, trickling_listener
from tests.support.processes import free_port
from worker.delivery import mllp, web
from worker.delivery.destinations import Hl7Destination, WebhookDestination
from worker.delivery.statuses import ConnectionLostError, DestinationDownError

ACCEPTED = b"\x0bMSH|^~\\&|RIS||IHSNET||20260101||ACK^R01|1|P|2.5.1\rMSA|AA|\r\x1c\r"
OK = b"HTTP/1.1 200 OK\r\n"
TIMEOUT_S = 0.5


def webhook(port: int, folder: Path, timeout_s: float) -> WebhookDestination:
    (folder / "secret").write_text("correct horse")
    return WebhookDestination(
        kind="webhook",
        name="DESK",
        url=f"http://127.0.0.1:{port}/x",
        secret_file=folder / "secret",
        timeout_s=timeout_s,
    )


def test_a_ris_that_acknowledges_byte_by_byte_keeps_nobody() -> None:
    with trickling_listener(ACCEPTED) as port:
        ris = Hl7Destination(
            kind="hl7", name="RIS", host="127.0.0.1", port=port, timeout_s=TIMEOUT_S
        )
        with pytest.raises(ConnectionLostError, match=r"no acknowledgement .* timed out"):
            mllp.send(ris, "MSH|", "key")


def test_a_server_that_answers_byte_by_byte_keeps_nobody(tmp_path: Path) -> None:
    slow = OK + b"X-Padding: " + b"x" * 100 + b"\r\nContent-Length: 0\r\n\r\n"
    with (
        trickling_listener(slow) as port,
        pytest.raises(DestinationDownError, match=r"no answer in 0\.5 s"),
    ):
        web.post(webhook(port, tmp_path, TIMEOUT_S), "key", b"{}")


def test_a_message_over_which_a_server_hangs_up_may_be_at_fault(tmp_path: Path) -> None:
    with hanging_up() as port, pytest.raises(ConnectionLostError, match="did not answer"):
        web.post(webhook(port, tmp_path, timeout_s=20), "key", b"{}")


def test_no_message_is_at_fault_where_no_connection_came_about(tmp_path: Path) -> None:
    with trickling_listener(b"") as port:  # it says nothing, not even of TLS
        silent = webhook(port, tmp_path, TIMEOUT_S)
        silent = silent.model_copy(update={"url": silent.url.replace("http:", "https:")})
        with pytest.raises(DestinationDownError, match="not reachable") as no_tls:
            web.post(silent, "key", b"{}")
    with pytest.raises(DestinationDownError, match="not reachable") as refused:
        web.post(webhook(free_port(), tmp_path, TIMEOUT_S), "key", b"{}")
    assert no_tls.type is refused.type is DestinationDownError


def test_the_body_of_an_answer_is_not_waited_for(tmp_path: Path) -> None:
    with trickling_listener(OK + b"Content-Length: 1000000\r\n\r\n", pause_s=0) as port:
        web.post(webhook(port, tmp_path, timeout_s=20), "key", b"{}")


def test_of_a_body_no_more_is_read_than_was_asked_for(tmp_path: Path) -> None:
    with trickling_listener(OK + b"Content-Length: 1000000\r\n\r\n0123456789", 0) as port:
        target = webhook(port, tmp_path, timeout_s=20)
        answer = web.request(target, "GET", target.url, most_bytes=10)
    assert (answer.status, answer.body) == (200, b"0123456789")
