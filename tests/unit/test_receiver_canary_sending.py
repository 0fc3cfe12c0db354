"""Sending a canary: silence is tried again, a status is not."""

from pathlib import Path

import pytest

from receiver.canary import sending
from receiver.canary.sending import TRIES, CanaryNotSentError, NoAnswerError, send
from schema.settings import Settings

SETTINGS = Settings(_env_file=None, home=Path("nowhere"))


def tries(monkeypatch: pytest.MonkeyPatch, *errors: Exception | None) -> int:
    """Let each try end so; give how many there were."""
    left = list(errors)

    def end(*_: object) -> None:
        if error := left.pop(0):
            raise error

    monkeypatch.setattr(sending, "_send_once", end)
    try:
        send(SETTINGS, [])
    finally:
        made = len(errors) - len(left)
    return made


def test_silence_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    assert tries(monkeypatch, NoAnswerError("silence"), None) == 2


def test_silence_again_and_again_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NoAnswerError):
        tries(monkeypatch, *[NoAnswerError("silence")] * TRIES)


def test_a_refusal_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CanaryNotSentError, match="0xA700"):
        tries(monkeypatch, CanaryNotSentError("answered 0xA700"), None)
