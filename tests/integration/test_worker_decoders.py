"""No worker reads a frame of another patient: 10,000 frames by threads, processes and alone."""

import multiprocessing
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset

from schema.errors import TransientError
from tests.support.deadline import DEADLINE_S
from tests.support.phantoms import Phantom, write
from worker.decoders import Decoders
from worker.limits import DecoderProcess, _ask

pytestmark = pytest.mark.slow  # ten thousand frames

FRAMES, PATIENTS, TURNS, WORKERS = 50, 8, 25, 4  # 50 frames x 8 patients x 25 turns are 10,000
SIZE = 16
Ask = tuple[int, Path]


@pytest.fixture(scope="module")
def patients(tmp_path_factory: pytest.TempPathFactory) -> list[Ask]:
    """One multi-frame object a patient, whose every pixel is the patient's number."""
    folder = tmp_path_factory.mktemp("patients")
    found = []
    for number in range(PATIENTS):
        ds = Phantom([0.0], size=SIZE, study=f"1.2.{number + 1}").enhanced
        ds.SharedFunctionalGroupsSequence[0].update(ds.PerFrameFunctionalGroupsSequence[0])
        ds.PerFrameFunctionalGroupsSequence = [Dataset() for _ in range(FRAMES)]  # quick to read
        ds.NumberOfFrames = FRAMES
        ds.PixelData = np.full((FRAMES, SIZE, SIZE), number + 1024, np.int16).tobytes()
        found += [(number, path) for path in write([ds], folder / str(number))]
    return found


def uid_of(number: int) -> str:
    return f"1.2.{number + 1}.1.1"


decoders: Decoders  # what the tasks of one worker share; a module's, so that a fork finds it


def foreign_frames(ask: Ask) -> tuple[int, int]:
    """Count the frames that came, and those of another patient."""
    number, path = ask
    frames = list(decoders(path, uid_of(number), (SIZE, SIZE)))
    return len(frames), sum(not bool((frame == number).all()) for frame in frames)


@pytest.fixture(autouse=True)
def shared() -> Iterator[None]:
    global decoders
    with Decoders(memory_mb=1024, limit_s=20) as decoders:
        yield


def solo(work: Callable[[Ask], tuple[int, int]], asks: Sequence[Ask]) -> list[tuple[int, int]]:
    return [work(ask) for ask in asks]


def threads(work: Callable[[Ask], tuple[int, int]], asks: Sequence[Ask]) -> list[tuple[int, int]]:
    return _mapped(ThreadPoolExecutor(WORKERS), work, asks)


def prefork(work: Callable[[Ask], tuple[int, int]], asks: Sequence[Ask]) -> list[tuple[int, int]]:
    work(asks[0])  # the parent has a decoder, whose pipes its children inherit
    fork = multiprocessing.get_context("fork")
    return _mapped(ProcessPoolExecutor(WORKERS, mp_context=fork), work, asks)


def _mapped(
    executor: Executor, work: Callable[[Ask], tuple[int, int]], asks: Sequence[Ask]
) -> list[tuple[int, int]]:
    with executor:
        return list(executor.map(work, asks))


@pytest.mark.parametrize("pool", [solo, threads, prefork])
def test_no_frame_of_10000_is_another_patients(
    pool: Callable[..., list[tuple[int, int]]], patients: list[Ask]
) -> None:
    counts = pool(foreign_frames, patients * TURNS)
    assert (sum(came for came, _ in counts), sum(foreign for _, foreign in counts)) == (10_000, 0)


def test_threads_that_read_at_one_time_have_a_process_each(patients: list[Ask]) -> None:
    ready, pids = threading.Barrier(WORKERS), set()

    def read(ask: Ask) -> None:
        frames = decoders(ask[1], uid_of(ask[0]), (SIZE, SIZE))
        next(frames)
        ready.wait(timeout=DEADLINE_S)
        list(frames)

    threads(read, patients[:WORKERS])  # type: ignore[arg-type]
    pids = {decoder.start().pid for decoder in decoders._idle}
    assert len(pids) == WORKERS


def test_one_process_is_never_asked_while_it_answers(patients: list[Ask]) -> None:
    (first, path), (second, other) = patients[:2]
    with DecoderProcess(memory_mb=1024, limit_s=20) as decoder:
        frames = decoder(path, uid_of(first), (SIZE, SIZE))
        next(frames)
        with pytest.raises(RuntimeError, match="one request at a time"):
            next(decoder(other, uid_of(second), (SIZE, SIZE)))
        assert len(list(frames)) == FRAMES - 1


def test_a_frame_of_another_object_is_refused_and_the_process_replaced(
    patients: list[Ask],
) -> None:
    (first, path), (second, other) = patients[:2]
    with DecoderProcess(memory_mb=1024, limit_s=20) as decoder:
        _ask(decoder.start(), other, uid_of(second))  # what nobody reads
        with pytest.raises(TransientError, match=f"sent a frame of {uid_of(second)}"):
            next(decoder(path, uid_of(first), (SIZE, SIZE)))
        assert len(list(decoder(path, uid_of(first), (SIZE, SIZE)))) == FRAMES


def test_a_caller_that_stops_early_leaves_a_clean_decoder(patients: list[Ask]) -> None:
    (first, path), (second, other) = patients[:2]
    frames = decoders(path, uid_of(first), (SIZE, SIZE))
    next(frames)
    frames.close()  # type: ignore[attr-defined]
    found = list(decoders(other, uid_of(second), (SIZE, SIZE)))
    assert all((frame == second).all() for frame in found)
    assert len(found) == FRAMES
