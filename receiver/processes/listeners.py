"""The listening sockets: opened here, or handed in as systemd does it (sd_listen_fds(3)).

A restart hands them from the old program to the new one, so the port is never closed: connections
wait in the backlog meanwhile. SO_REUSEPORT would not do: with the old socket goes its own backlog,
and who is in it is reset.
"""

import fcntl
import os
import socket
import sys
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NoReturn

import structlog

from receiver.access.tls import TlsFiles, acceptor_context
from schema.errors import SettingsError
from schema.ports import naming_the_setting
from schema.settings import Settings

log = structlog.get_logger()

BACKLOG: Final = 1024
PLAIN: Final = "plain"  # the kinds of port; a socket that is handed in has one as its name
TLS: Final = "tls"
STOW: Final = "stow"
SETTINGS: Final[Mapping[str, str]] = MappingProxyType(
    {
        PLAIN: "TRIAGE_DICOM_HOST, TRIAGE_DICOM_PORT",
        TLS: "TRIAGE_DICOM_HOST, TRIAGE_TLS_PORT",
        STOW: "TRIAGE_STOW_HOST, TRIAGE_STOW_PORT",
    }
)
FIRST: Final = 3  # SD_LISTEN_FDS_START
VARIABLES: Final = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")

SWITCHED_OFF: Final = "TRIAGE_DICOM_PLAIN=false, and a socket is handed in as 'plain'"
PUT_RIGHT: Final = (
    "systemctl edit ihsnet-receiver.socket: FileDescriptorName=tls and ListenStream= of that port, "
    "as docs/operations.md shows; until then its callers wait for an answer in vain"
)

Listeners = Mapping[str, socket.socket]


def open_ports(settings: Settings) -> Listeners:
    """Listen on the port without TLS, the one with it, the one of STOW-RS: what is wanted.

    A socket that was handed in is taken for its kind, whatever its address is. One without TLS that
    the settings switched off is closed.

    Raises
    ------
    SettingsError
        If a wanted port cannot be served, or another socket was handed in that is not wanted.
    """
    wanted = _wanted(settings)
    given = _inherited()
    if PLAIN in given.keys() - wanted.keys():
        os.close(given.pop(PLAIN))
        log.warning("a port without TLS is not served", reason=SWITCHED_OFF, put_right=PUT_RIGHT)
    if strange := given.keys() - wanted.keys():
        raise SettingsError(
            f"a socket is handed in as {min(strange)!r}; with these settings its name "
            f"(FileDescriptorName=) may be {' or '.join(wanted)}"
        )
    return {
        kind: socket.socket(fileno=given[kind]) if kind in given else _open(kind, *address)
        for kind, address in wanted.items()
    }


def _open(kind: str, host: str, port: int) -> socket.socket:
    with naming_the_setting(SETTINGS[kind], host, port):
        return open_port(host, port)


def open_port(host: str, port: int) -> socket.socket:
    """Listen on a port; 0 for any that is free."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=BACKLOG)


def begin_again(listeners: Listeners) -> NoReturn:
    """Replace this process by the program as it is on disk now; its ports stay open."""
    beyond = FIRST + len(listeners)
    copies = [fcntl.fcntl(each, fcntl.F_DUPFD_CLOEXEC, beyond) for each in listeners.values()]
    for descriptor, copy in enumerate(copies, FIRST):
        os.dup2(copy, descriptor)
    handed = (str(os.getpid()), str(len(listeners)), ":".join(listeners))
    environment = os.environ | dict(zip(VARIABLES, handed, strict=True))
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)


def _wanted(settings: Settings) -> dict[str, tuple[str, int]]:
    wanted = {}
    files = TlsFiles.of(settings)
    if settings.dicom_plain:
        wanted[PLAIN] = (settings.dicom_host, settings.dicom_port)
    if files is not None and settings.tls_port is not None:
        acceptor_context(files)  # what is wrong with the files is said once, before all starts
        wanted[TLS] = (settings.dicom_host, settings.tls_port)
    if not wanted:
        raise SettingsError("TRIAGE_DICOM_PLAIN=false needs TRIAGE_TLS_PORT")
    if settings.stow_token is not None:
        wanted[STOW] = (settings.stow_host, settings.stow_port)
    return wanted


def _inherited() -> dict[str, int]:
    """Take the sockets that were handed to this process, by name; its children get none."""
    process_id, count, names = (os.environ.pop(name, "") for name in VARIABLES)
    if process_id != str(os.getpid()):
        return {}
    descriptors = range(FIRST, FIRST + int(count))
    for descriptor in descriptors:
        os.set_inheritable(descriptor, False)
    return dict(zip(names.split(":"), descriptors, strict=True))
