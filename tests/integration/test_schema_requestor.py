"""A requestor by pynetdicom on a busy host: no response is lost, and a rejection is told as one."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
from pynetdicom import AE, evt
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from schema.requestor import rejection_of, spare_responses
from tests.support.scu import Address

ECHOES = 5
SLOW_S = 0.02  # a thread that the host lets run this much later


@pytest.fixture
def echo_scp() -> Iterator[Address]:
    ae = AE("SCP")
    ae.require_called_aet = True
    ae.add_supported_context(Verification)
    server = ae.start_server(("127.0.0.1", 0), block=False)
    yield "127.0.0.1", server.server_address[1]
    server.shutdown()


def associate(address: Address, called: str = "SCP", **given: Any) -> Any:
    ae = AE("SCU")
    ae.dimse_timeout = 1
    ae.add_requested_context(Verification)
    return ae.associate(*address, ae_title=called, **given)


def hold_up(assoc: Any) -> None:
    """Let its threads go on late, as on a host with more threads than cores.

    The reactor after each pause, and its caller, longer still, between request and response.
    """
    wait, send_msg = assoc._reactor_checkpoint.wait, assoc.dimse.send_msg

    def wait_and_be_late() -> None:
        wait()
        time.sleep(SLOW_S)

    def send_and_be_late(*given: Any) -> None:
        send_msg(*given)
        time.sleep(3 * SLOW_S)

    assoc._reactor_checkpoint.wait, assoc.dimse.send_msg = wait_and_be_late, send_and_be_late


def test_a_reactor_that_wakes_late_takes_no_response(echo_scp: Address) -> None:
    assoc = associate(echo_scp)
    hold_up(assoc)
    spare_responses(assoc)
    assert [assoc.send_c_echo().get("Status") for _ in range(ECHOES)] == [0] * ECHOES
    assoc.release()


def test_a_rejection_that_came_before_the_connection_was_looked_at_is_told(
    echo_scp: Address,
) -> None:
    handlers = [(evt.EVT_REQUESTED, lambda _: time.sleep(10 * SLOW_S))]
    assoc = associate(echo_scp, "OTHER", evt_handlers=handlers)
    rejection = rejection_of(assoc)
    assert rejection is not None
    assert (rejection.result, rejection.result_source, rejection.diagnostic) == (1, 1, 7)


def test_an_association_that_stands_was_not_rejected(echo_scp: Address) -> None:
    assoc = associate(echo_scp)
    assert rejection_of(assoc) is None
    assoc.release()
