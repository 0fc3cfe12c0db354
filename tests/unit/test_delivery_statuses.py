"""What an answer means: accepted, not now, or never."""

import pytest

from worker.delivery.statuses import (
    DestinationDownError,
    NotNowError,
    RefusedError,
    check_ack,
    check_http,
    check_store,
)


@pytest.mark.parametrize("status", [0x0000, 0xB000, 0xB006, 0xB007, 0x0111])
def test_an_accepted_object_is_accepted(status: int) -> None:
    check_store(status)


@pytest.mark.parametrize("status", [0xA700, 0xA701, 0x0110])
def test_an_archive_without_room_is_asked_again(status: int) -> None:
    with pytest.raises(NotNowError):
        check_store(status)


@pytest.mark.parametrize("status", [0xA900, 0xC000, 0x0122, 0x0124])
def test_an_object_that_is_not_understood_is_not_sent_again(status: int) -> None:
    with pytest.raises(RefusedError, match=f"0x{status:04X}"):
        check_store(status)


def test_no_answer_is_the_destination_s_fault() -> None:
    with pytest.raises(DestinationDownError):
        check_store(None)


@pytest.mark.parametrize("status", [503, 429, 409])
def test_a_busy_server_is_asked_again(status: int) -> None:
    with pytest.raises(NotNowError):
        check_http(status, "it")


@pytest.mark.parametrize("status", [301, 302, 401, 403, 404, 405, 407])
def test_a_wrong_secret_or_url_is_no_message_s_fault(status: int) -> None:
    with pytest.raises(DestinationDownError, match=f"answered {status}; check its url"):
        check_http(status, "it")


@pytest.mark.parametrize("status", [400, 422])
def test_a_wrong_request_is_not_sent_again(status: int) -> None:
    with pytest.raises(RefusedError):
        check_http(status, "it")


@pytest.mark.parametrize(
    ("code", "error"), [("AE", NotNowError), ("AR", RefusedError), ("", RefusedError)]
)
def test_an_acknowledgement_decides(code: str, error: type[Exception]) -> None:
    check_ack("AA", "")
    with pytest.raises(error, match="busy"):
        check_ack(code, "busy")
