"""Hostile and broken input, from the socket to the rows: it fails alone, the next one is served.

A hundred thousand tiny instances: TINY_INSTANCES=100000 python -m pytest --timeout 0 -k tiny
"""

import os
import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian, JPEGBaseline8Bit
from sqlalchemy import func, select

from receiver.catalogue.intake import Catalogue
from schema.database import Database
from schema.settings import Settings
from schema.tables import Instance, Study
from tests.support.receivers import acceptors, echo_once, is_closed, usage
from tests.support.scu import CT, EXPLICIT, Address, Scu, encode, image, new_uid, pdata, request

# pydicom warns of what it reads, as it should; in the receiver a warning stops nothing.
# Slow: starts a receiver for each test.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::UserWarning")]
TINY = int(os.environ.get("TINY_INSTANCES", "1000"))
SCRIPT = "<script>alert(1)</script>"
DEEP = 5000


@pytest.fixture
def address(settings: Settings) -> Iterator[Address]:
    with acceptors(settings.home, associations_per_minute=10**6) as ports:
        yield ports["plain"]


def store(address: Address, encoded: bytes, uid: str) -> int:
    with Scu(address) as scu:
        status = scu.store(CT, uid, encoded)
        scu.release()
        return status


def nested(depth: int) -> bytes:
    """Nest sequences of undefined length within each other, and never end them."""
    begin = struct.pack("<HH2s2xL", 0x0040, 0x0275, b"SQ", 0xFFFFFFFF)
    item = struct.pack("<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF)
    return (begin + item) * depth


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_names_that_are_no_ascii_or_a_script_are_stored_as_they_are(
    settings: Settings, database: Database, address: Address
) -> None:
    for number, name in enumerate((SCRIPT, "Müller^Jürgen", "山田^太郎", "a\x1b[31m\r\nb")):
        uid = f"1.2.3.{number + 1}"
        ds = image(uid, PatientName=name, StudyInstanceUID=f"1.2.{number + 1}")
        ds.SpecificCharacterSet = "ISO_IR 192"
        assert store(address, encode(ds), uid) == 0x0000
    assert Catalogue(database, settings.storage).take_in() == 4
    with database.reading() as session:
        names = set(session.scalars(select(Study.patient_name)))
    assert {SCRIPT, "Müller^Jürgen", "山田^太郎"} < names
    assert not any("\x1b" in name or "\n" in name for name in names)


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
@pytest.mark.parametrize("depth", [100, DEEP])
def test_deep_nesting_ends_in_a_row_or_in_quarantine_and_the_next_is_taken(
    settings: Settings, database: Database, address: Address, depth: int
) -> None:
    hostile, good = new_uid(), new_uid()
    # Behind the UIDs, so that the front door takes it and the catalogue meets it.
    content = encode(image(hostile)) + nested(depth)
    assert store(address, content, hostile) in (0x0000, 0xC000)
    assert store(address, encode(image(good)), good) == 0x0000
    Catalogue(database, settings.storage).take_in()
    with database.reading() as session:
        assert good in set(session.scalars(select(Instance.sop_instance_uid)))


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_a_deflated_bomb_and_lossy_pixels_find_no_context(address: Address) -> None:
    with Scu(
        address,
        ((CT, DeflatedExplicitVRLittleEndian), (CT, JPEGBaseline8Bit), (CT, EXPLICIT)),
    ) as scu:
        assert scu.accepted == [5]


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_a_half_open_connection_and_one_that_drips_hold_up_nobody(address: Address) -> None:
    with ExitStack() as stack:
        half_open = stack.enter_context(socket.create_connection(address))
        half_open.sendall(request(((CT, EXPLICIT),))[:20])
        dripping = stack.enter_context(Scu(address))
        dripping.socket.sendall(pdata(1, 3, b"\0" * 50)[:20])
        assert echo_once(address) == "echoed"
        assert is_closed(half_open)


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_a_pdu_that_announces_four_gigabytes_costs_one_buffer(address: Address) -> None:
    before, _, _ = usage()
    with Scu(address) as scu:
        scu.begin_store(CT, "1.2.3")
        scu.socket.sendall(struct.pack(">BxLLBB", 4, 0xFFFFFFF0, 0xFFFFFFEC, 1, 0))
        for _ in range(64):
            scu.socket.sendall(bytes(1_000_000))
        after, _, _ = usage()
    assert after - before < 16
    assert echo_once(address) == "echoed"


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_very_many_tiny_instances_are_taken_in_bounded_memory(
    settings: Settings, database: Database, address: Address
) -> None:
    before, threads, files = usage()
    with Scu(address) as scu:
        for number in range(TINY):
            uid = f"1.2.3.{number + 1}"
            assert scu.store(CT, uid, encode(image(uid))) == 0x0000
        scu.release()
    assert Catalogue(database, settings.storage).take_in() == TINY
    after = usage()
    assert after[0] - before < 32
    assert (after[1], after[2]) <= (threads + 2, files + 8)
    with database.reading() as session:
        assert session.scalar(select(func.count(Instance.id))) == TINY
