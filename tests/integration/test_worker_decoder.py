"""The decoder in its own process, against objects that want all memory, all time, or a crash."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import JPEG2000Lossless, RLELossless

from schema.errors import DecoderKilledError, PixelError, SourceFileMissingError
from tests.support.phantoms import FEW_MM, Phantom, recoded, write
from tests.support.wording import is_plain
from worker.limits import DecoderProcess
from worker.slices import read_series

pytestmark = pytest.mark.slow  # decodes in a process for each test


@pytest.fixture
def decoder() -> Iterator[DecoderProcess]:
    with DecoderProcess(memory_mb=1024, limit_s=20) as decoder:
        yield decoder


def bomb(path: Path, side: int) -> Path:
    """Let a small JPEG 2000 codestream declare a picture of side x side in one tile."""
    recoded(path, JPEG2000Lossless)
    content = bytearray(path.read_bytes())
    siz = content.index(b"\xff\x4f\xff\x51") + 2
    size = side.to_bytes(4, "big")
    content[siz + 6 : siz + 14] = size * 2  # Xsiz, Ysiz
    content[siz + 22 : siz + 30] = size * 2  # XTsiz, YTsiz
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("transfer_syntax_uid", [None, RLELossless, JPEG2000Lossless])
def test_it_gives_the_same_values_as_this_process(
    decoder: DecoderProcess, tmp_path: Path, transfer_syntax_uid: str | None
) -> None:
    paths = Phantom(FEW_MM).write(tmp_path)
    if transfer_syntax_uid:
        paths = [recoded(path, transfer_syntax_uid) for path in paths]
    assert np.array_equal(read_series(paths, decoder).volume.hu, read_series(paths).volume.hu)


def test_a_multi_frame_object_comes_frame_by_frame(decoder: DecoderProcess, tmp_path: Path) -> None:
    paths = Phantom(FEW_MM, reversed=True).write_enhanced(tmp_path)
    assert np.array_equal(read_series(paths, decoder).volume.hu, read_series(paths).volume.hu)


def test_a_bomb_fails_alone_and_the_next_series_is_read(
    decoder: DecoderProcess, tmp_path: Path
) -> None:
    paths = Phantom(FEW_MM).write(tmp_path / "hostile")
    bomb(paths[1], side=30_000)
    with pytest.raises(PixelError, match="SOP instance"):
        read_series(paths, decoder)
    assert read_series(Phantom(FEW_MM).write(tmp_path / "good"), decoder).volume.hu.any()


def test_more_memory_than_the_limit_is_refused_and_the_log_names_the_setting(
    tmp_path: Path,
) -> None:
    size = 4096
    (path,) = write([Phantom((0.0,), size=size).dataset(0)], tmp_path)
    with (
        DecoderProcess(memory_mb=280, limit_s=20) as decoder,
        pytest.raises(PixelError) as refused,
    ):
        next(decoder(path, str(dcmread(path).SOPInstanceUID), (size, size)))
    assert "TRIAGE_DECODE_MEMORY_MB=280" in refused.value.detail
    assert is_plain(str(refused.value))


def test_a_frame_that_takes_too_long_is_refused_and_the_log_names_the_setting(
    decoder: DecoderProcess, tmp_path: Path
) -> None:
    paths = Phantom(FEW_MM).write(tmp_path)
    with (
        DecoderProcess(memory_mb=1024, limit_s=0.0001) as hurried,
        pytest.raises(PixelError) as refused,
    ):
        read_series(paths, hurried)
    assert "TRIAGE_DECODE_LIMIT_S=0.0001" in refused.value.detail
    assert is_plain(str(refused.value))


def end_in_the_middle(decoder: DecoderProcess, folder: Path, ending: signal.Signals) -> None:
    """Let a signal end the decoder while it answers, and ask it for the rest."""
    (path,) = Phantom(FEW_MM, size=256).write_enhanced(folder)  # more than a pipe holds
    frames = decoder(path, str(dcmread(path).SOPInstanceUID), (256, 256))
    next(frames)
    os.kill(decoder.start().pid, ending)
    list(frames)


def test_a_decoder_that_crashed_is_replaced(decoder: DecoderProcess, tmp_path: Path) -> None:
    with pytest.raises(PixelError) as refused:
        end_in_the_middle(decoder, tmp_path, signal.SIGSEGV)
    assert "crashed" in refused.value.detail
    assert is_plain(str(refused.value))
    assert read_series(Phantom(FEW_MM).write(tmp_path / "next"), decoder).volume.hu.any()


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM])
def test_a_decoder_that_was_killed_says_nothing_against_what_it_read(
    decoder: DecoderProcess, tmp_path: Path, ending: signal.Signals
) -> None:
    with pytest.raises(DecoderKilledError, match=f"killed .{ending.name}.; .* lacks memory"):
        end_in_the_middle(decoder, tmp_path, ending)
    assert read_series(Phantom(FEW_MM).write(tmp_path / "next"), decoder).volume.hu.any()


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
def test_a_decoder_that_died_while_idle_ends_no_study(
    decoder: DecoderProcess, tmp_path: Path, ending: signal.Signals
) -> None:
    idle = decoder.start()
    os.kill(idle.pid, ending)
    os.waitid(os.P_PID, idle.pid, os.WEXITED | os.WNOWAIT)
    assert read_series(Phantom(FEW_MM).write(tmp_path), decoder).volume.hu.any()


def test_a_caller_that_stops_early_gets_the_next_object_whole(
    decoder: DecoderProcess, tmp_path: Path
) -> None:
    (path,) = Phantom(FEW_MM).write_enhanced(tmp_path)
    uid, size = str(dcmread(path).SOPInstanceUID), (64, 64)
    frames = decoder(path, uid, size)
    next(frames)
    frames.close()
    assert len(list(decoder(path, uid, size))) == len(FEW_MM)


def test_a_file_that_is_missing_is_worth_another_try(
    decoder: DecoderProcess, tmp_path: Path
) -> None:
    with pytest.raises(SourceFileMissingError, match=r"gone\.dcm"):
        next(decoder(tmp_path / "gone.dcm", "1.2.3", (64, 64)))


def test_the_decoder_is_given_no_setting(
    decoder: DecoderProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRIAGE_DATABASE_URL", "postgresql://triage:secret@db/triage")
    environment = Path(f"/proc/{decoder.start().pid}/environ").read_bytes()
    assert b"secret" not in environment
