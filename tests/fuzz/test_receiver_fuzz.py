"""Hostile bytes at the front door: no crash, no hang, no leak.

10,000 cases; more with FUZZ_CASES=1000000 python -m pytest --timeout 0 tests/fuzz
"""

import logging
import os
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import suppress
from io import BytesIO

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.uid import ImplicitVRLittleEndian
from python_multipart.exceptions import FormParserError

from receiver.association.loop import Association
from receiver.commitment.request import read_request
from receiver.commitment.scp import CommitmentScp
from receiver.inbox import Inbox
from receiver.instance.header import read_header
from receiver.protocol.file_meta import encode_file_meta
from receiver.protocol.identity import read_identity
from receiver.stow.parts import StoreRequest
from schema.dicom import PUSH_MODEL
from schema.errors import UnreadableObjectError
from tests.support.deadline import DEADLINE_S
from tests.support.phantoms import Phantom
from tests.support.receivers import acceptors, count_files, echo_once, resident_mib, usage
from tests.support.scu import (
    ABORT,
    CT,
    EXPLICIT,
    RELEASE_RQ,
    VERIFICATION,
    Address,
    encode,
    pdata,
    request,
)

# pydicom warns of what it reads, which is as it should be; here it would end a case too early.
# Slow: thousands of cases.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
USUAL = 10_000
CASES = int(os.environ.get("FUZZ_CASES", USUAL))
REPEATABLE = CASES == USUAL  # a long run looks for what is new
ROUNDS = max(CASES // USUAL, 1)  # hypothesis remembers a round's cases, 30 kB each
MOST_BYTES = 60_000  # fit into a socket's buffer, so that one thread can play both sides
CONTEXTS = ((VERIFICATION, EXPLICIT), (CT, EXPLICIT), (CT, ImplicitVRLittleEndian))
CONTEXTS = (*CONTEXTS, (PUSH_MODEL, EXPLICIT))
SLICE = Phantom((0.0,), size=8).dataset(0)
DATASETS = (encode(SLICE, EXPLICIT), encode(SLICE, str(ImplicitVRLittleEndian)))
BOUNDARY = b"boundary"
MOST_GROWTH_MIB = 200  # most of it is hypothesis's memory


def share(part: float) -> settings:
    """Run this part of all cases."""
    return settings(
        max_examples=max(int(min(CASES, USUAL) * part), 1),
        deadline=None,
        derandomize=REPEATABLE,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


edits = st.lists(
    st.tuples(
        st.integers(0, 2**16),
        st.one_of(
            st.binary(max_size=8),
            st.sampled_from([b"\xff\xff\xff\xff", b"\0\0\0\0", b"\xfe\xff\x00\xe0", b"SQ\0\0"]),
        ),
        st.integers(0, 8),
    ),
    max_size=6,
)


def edited(content: bytes, changes: list[tuple[int, bytes, int]]) -> bytes:
    """Put bytes in the place of others, here and there."""
    for place, new, removed in changes:
        at = place % (len(content) + 1)
        content = content[:at] + new + content[at + removed :]
    return content


def damaged(content: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    return st.builds(edited, content, edits)


uids = st.one_of(
    st.sampled_from([CT, VERIFICATION, PUSH_MODEL, "1.2.3", "../../evil", "1" * 65, ""]),
    st.text(max_size=20),
).map(lambda text: text.encode("utf-8", "replace")[:80])
element = st.one_of(
    st.tuples(st.sampled_from([0x0002, 0x0003, 0x1000, 0x1001]), uids),
    st.tuples(
        st.sampled_from([0x0100, 0x0110, 0x0120, 0x0700, 0x0800, 0x0900, 0x1008]),
        st.one_of(
            st.sampled_from([1, 0x20, 0x30, 0x100, 0x110, 0x120, 0x130, 0x101, 0xFFF, 0x8001]).map(
                lambda value: struct.pack("<H", value)
            ),
            st.binary(max_size=6),
        ),
    ),
    st.tuples(st.integers(0, 0xFFFF), st.binary(max_size=40)),
)
commands = st.lists(element, max_size=9).map(
    lambda elements: b"".join(
        struct.pack("<HHL", 0, tag, len(value)) + value for tag, value in elements
    )
)
store = b"".join(
    struct.pack("<HHL", 0, tag, len(value)) + value
    for tag, value in (
        (0x0002, CT.encode() + b"\0"),
        (0x0100, b"\x01\0"),
        (0x0110, b"\x07\0"),
        (0x0800, b"\x01\0"),
        (0x1000, str(SLICE.SOPInstanceUID).encode() + b"\0" * (len(SLICE.SOPInstanceUID) % 2)),
    )
)
datasets = damaged(st.sampled_from(DATASETS))
context_ids = st.sampled_from([1, 3, 3, 3, 5, 7, 9, 0, 255])
controls = st.integers(0, 3)
pdus = st.one_of(
    st.builds(pdata, context_ids, controls, commands),
    st.builds(pdata, context_ids, controls, datasets),
    st.builds(lambda cx, data: pdata(cx, 3, store) + pdata(cx, 2, data), context_ids, datasets),
    damaged(st.builds(pdata, context_ids, controls, commands)),
    st.builds(
        lambda kind, length, body: struct.pack(">BBL", kind, 0, length) + body,
        st.integers(0, 255),
        st.one_of(st.integers(0, 64), st.just(0xFFFFFFFF)),
        st.binary(max_size=64),
    ),
    st.sampled_from([RELEASE_RQ, ABORT, request(CONTEXTS)]),
)
greetings = st.one_of(
    st.just(request(CONTEXTS)),
    st.just(request(CONTEXTS)),
    damaged(st.just(request(CONTEXTS))),
    st.binary(max_size=200),
)
streams = st.builds(
    lambda greeting, rest: (greeting + b"".join(rest))[:MOST_BYTES],
    greetings,
    st.lists(pdus, max_size=6),
)


@pytest.fixture(scope="module")
def inbox(tmp_path_factory: pytest.TempPathFactory) -> Inbox:
    return Inbox(tmp_path_factory.mktemp("fuzz") / "storage", 0)


@pytest.fixture(autouse=True, params=range(ROUNDS))
def _nothing_leaks() -> Iterator[None]:
    before = threading.active_count(), count_files(), resident_mib()
    logging.disable()  # pytest would keep every line
    yield
    logging.disable(logging.NOTSET)
    assert threading.active_count() <= before[0]
    assert count_files() <= before[1]
    assert resident_mib() < before[2] + MOST_GROWTH_MIB


def serve(inbox: Inbox, stream: bytes) -> None:
    """Let an association of ours live through these bytes; it must end, and raise nothing."""
    ours, theirs = socket.socketpair()
    with theirs:
        theirs.sendall(stream)
        theirs.shutdown(socket.SHUT_WR)
        commitment = CommitmentScp(inbox.path.parent, {"CT1"})
        Association(ours, "127.0.0.1", inbox, lambda *_: None, 100_000, commitment).run()


@share(0.45)
@given(stream=streams)
def test_an_association_lives_through_any_pdus(inbox: Inbox, stream: bytes) -> None:
    serve(inbox, stream)


@share(0.15)
@given(command=st.one_of(commands, damaged(st.just(store))), data=datasets)
def test_an_association_lives_through_any_command_set(
    inbox: Inbox, command: bytes, data: bytes
) -> None:
    stream = request(CONTEXTS) + pdata(3, 3, command) + pdata(3, 2, data) + RELEASE_RQ
    serve(inbox, stream[:MOST_BYTES])


@share(0.2)
@given(data=datasets, syntax=st.sampled_from([EXPLICIT, str(ImplicitVRLittleEndian)]))
def test_any_dataset_has_an_identity_and_a_header_or_is_refused(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, syntax: str
) -> None:
    with suppress(UnreadableObjectError):
        read_identity(lambda length: data[:length], len(data), syntax)
    path = tmp_path_factory.getbasetemp() / "fuzzed.dcm"
    path.write_bytes(encode_file_meta(CT, "1.2.3", syntax) + data)
    with suppress(UnreadableObjectError):
        read_header(path)


@share(0.05)
@given(data=datasets)
def test_any_commitment_request_is_read_or_refused(data: bytes) -> None:
    with suppress(UnreadableObjectError):
        read_request(data, EXPLICIT)


file_bytes = st.builds(
    lambda data: encode_file_meta(CT, str(SLICE.SOPInstanceUID), EXPLICIT) + data, datasets
)
part = st.builds(
    lambda head, data: b"--" + BOUNDARY + b"\r\n" + head + b"\r\n\r\n" + data + b"\r\n",
    damaged(st.just(b"Content-Type: application/dicom")),
    damaged(file_bytes),
)
bodies = st.builds(
    lambda parts, end: b"".join(parts) + b"--" + BOUNDARY + end,
    st.lists(part, max_size=3),
    st.sampled_from([b"--", b"--\r\n", b"", b"x"]),
)


@share(0.1)
@given(body=bodies, size=st.integers(1, 4096))
def test_any_stow_request_is_taken_or_refused(inbox: Inbox, body: bytes, size: int) -> None:
    stow = StoreRequest(inbox, "127.0.0.1", BOUNDARY, None, 100_000)
    stream = BytesIO(body)
    with suppress(FormParserError, UnreadableObjectError):
        while data := stream.read(size):
            stow.write(data)
    stow.close(aborted=False)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Address]:
    given_ = {"associations_per_minute": 10**9}
    with acceptors(tmp_path_factory.mktemp("live"), **given_) as ports:
        yield ports["plain"]


def assail(address: Address, stream: bytes) -> None:
    """Send bytes over a connection of their own and wait for its end."""
    with suppress(OSError), socket.create_connection(address, timeout=DEADLINE_S) as connection:
        connection.sendall(stream)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65536):
            pass


def test_a_live_receiver_answers_and_has_not_grown_after_all_of_it(address: Address) -> None:
    @share(0.01)
    @given(stream=streams)
    def warm_up(stream: bytes) -> None:
        assail(address, stream)

    @share(0.04)
    @given(stream=streams)
    def attack(stream: bytes) -> None:
        assail(address, stream)

    warm_up()
    resident, threads, files = usage()
    attack()
    assert echo_once(address) == "echoed"
    after = usage()
    assert after[0] < resident + 20
    assert after[1] <= threads + 1
    assert after[2] <= files + 1
