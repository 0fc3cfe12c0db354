"""A real TLS front of a real Redis: the wheel's own server has none."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PIECE = 65536


@contextmanager
def tls_front(context: ssl.SSLContext, path: Path) -> Iterator[int]:
    """Pass what comes over TLS on to a Unix socket; give the port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_accept, args=(server, context, path), daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


def _accept(server: socket.socket, context: ssl.SSLContext, path: Path) -> None:
    with suppress(OSError):
        while True:
            caller, _ = server.accept()
            threading.Thread(target=_serve, args=(caller, context, path), daemon=True).start()


def _serve(caller: socket.socket, context: ssl.SSLContext, path: Path) -> None:
    with suppress(OSError), caller, socket.socket(socket.AF_UNIX) as redis:
        redis.connect(str(path))
        with context.wrap_socket(caller, server_side=True) as secure:
            answers = threading.Thread(target=_pass, args=(redis, secure), daemon=True)
            answers.start()
            _pass(secure, redis)
            redis.shutdown(socket.SHUT_RDWR)
            answers.join()


def _pass(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while piece := source.recv(PIECE):
            target.sendall(piece)
