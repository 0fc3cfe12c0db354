"""An MLLP listener and an HTTP server that say what a test tells them to."""

import socketserver
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import hl7

END = b"\x1c\r"


@dataclass
class Heard:
    """What came, in order, and how each was answered; the last answer is repeated."""

    answers: Sequence[str]
    port: int = 0
    messages: list[str] = field(default_factory=list)
    given: list[str] = field(default_factory=list)

    @property
    def accepted(self) -> list[str]:
        """Give the messages that were acknowledged with AA."""
        pairs = zip(self.messages, self.given, strict=False)
        return [message for message, answer in pairs if answer == "AA"]

    def answer(self, message: str) -> str:
        """Note a message; give its acknowledgement code."""
        code = self.answers[min(len(self.messages), len(self.answers) - 1)]
        self.messages.append(message)
        self.given.append(code)
        return code


@contextmanager
def mllp_listener(*answers: str) -> Iterator[Heard]:
    """Listen on a free port, and answer one after another."""
    heard = Heard(answers)

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            data = b""
            while not data.endswith(END):
                piece = self.request.recv(65536)
                if not piece:
                    return
                data += piece
            text = data.strip(b"\x0b\x1c\r").decode() + "\r"
            code = heard.answer(text)
            if code != "nothing":
                key = hl7.parse(text).segment("MSH")[10]
                head = f"MSH|^~\\&|RIS||IHSNET||20260101||ACK^R01|1|P|2.5.1\rMSA|{code}|{key}\r"
                self.wfile.write(b"\x0b" + head.encode() + END)

    with _serving(socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)) as port:
        heard.port = port
        yield heard


@dataclass
class Requests:
    """What was asked, and with which status each was answered; the last is repeated."""

    statuses: Sequence[int]
    port: int = 0
    seen: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}/base"


@contextmanager
def http_listener(*statuses: int, answer: bytes = b"{}") -> Iterator[Requests]:
    """Serve on a free port."""
    requests = Requests(statuses)

    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length)
            status = requests.statuses[min(len(requests.seen), len(requests.statuses) - 1)]
            requests.seen.append((self.command, self.path, dict(self.headers), body))
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_GET = do_POST = _serve  # noqa: N815 - the library's names

        def log_message(self, *_: Any) -> None:
            pass

    with _serving(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as port:
        requests.port = port
        yield requests


@contextmanager
def trickling_listener(answer: bytes, pause_s: float = 0.02) -> Iterator[int]:
    """Answer byte by byte, then keep the connection open; give the port."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(65536)
            with suppress(OSError):  # the caller has had enough
                for value in answer:
                    self.request.sendall(bytes([value]))
                    time.sleep(pause_s)
                while self.request.recv(65536):
                    pass

    with _serving(socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)) as port:
        yield port


@contextmanager
def hanging_up() -> Iterator[int]:
    """Take a connection and what is sent, and end it without a word; give the port."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(65536)

    with _serving(socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)) as port:
        yield port


@contextmanager
def _serving(server: socketserver.TCPServer) -> Iterator[int]:
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
