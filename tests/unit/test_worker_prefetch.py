"""What was prepared ahead is of exactly this series, or it is not used."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from schema.errors import SourceFileMissingError
from schema.settings import Settings
from tests.support.deadline import DEADLINE_S
from tests.support.phantoms import FEW_MM, Phantom, ThresholdPredictor
from worker.analysis import Ahead, Prepared, analyse
from worker.engine import prefetch_mb
from worker.limits import DecoderProcess
from worker.prefetch import Prefetch
from worker.rules import load_rules
from worker.slices import decode

Frames = Iterator[npt.NDArray[np.float32]]


def written(folder: Path, study: str) -> tuple[Path, ...]:
    return tuple(Phantom(FEW_MM, skull=True, study=study).write(folder / study))


@pytest.fixture
def first(tmp_path: Path) -> tuple[Path, ...]:
    return written(tmp_path, "1.2.1")


@pytest.fixture
def second(tmp_path: Path) -> tuple[Path, ...]:
    return written(tmp_path, "1.2.2")


def finished(prefetch: Prefetch, paths: Sequence[Path]) -> Prefetch:
    """Let it prepare these files, and wait."""
    prefetch.begin(lambda: paths)
    assert prefetch._thread is not None
    prefetch._thread.join(DEADLINE_S)
    return prefetch


def study_of(prepared: Prepared | None) -> str | None:
    return None if prepared is None else prepared.source.study_instance_uid


def test_the_series_that_was_guessed_is_taken_once(first: tuple[Path, ...]) -> None:
    prefetch = finished(Prefetch(decode, 1), first)
    assert study_of(prefetch.take(first)) == "1.2.1"
    assert prefetch.take(first) is None


def test_another_series_throws_the_guess_away(
    first: tuple[Path, ...], second: tuple[Path, ...]
) -> None:
    prefetch = finished(Prefetch(decode, 1), first)
    assert prefetch.take(second) is None
    assert prefetch.take(first) is None


@pytest.mark.parametrize("other", [lambda p: p[:-1], lambda p: p[::-1], lambda _: ()])
def test_other_files_of_the_same_series_are_another_one(
    first: tuple[Path, ...], other: Callable[[Sequence[Path]], Sequence[Path]]
) -> None:
    assert finished(Prefetch(decode, 1), first).take(other(first)) is None


def test_a_file_that_was_replaced_or_went_is_read_again(first: tuple[Path, ...]) -> None:
    prefetch = finished(Prefetch(decode, 1), first)
    first[0].write_bytes(first[0].read_bytes() + b"\0\0")
    assert prefetch.take(first) is None
    finished(prefetch, first)
    first[0].unlink()
    assert prefetch.take(first) is None


def test_a_series_that_is_being_prepared_is_waited_for(first: tuple[Path, ...]) -> None:
    asked, go = threading.Event(), threading.Event()

    def late(path: Path, uid: str, size: tuple[int, int]) -> Frames:
        asked.set()
        assert go.wait(DEADLINE_S)
        return decode(path, uid, size)

    prefetch = Prefetch(late, 1)
    prefetch.begin(lambda: first)
    assert asked.wait(DEADLINE_S)
    threading.Timer(0.1, go.set).start()
    assert study_of(prefetch.take(first)) == "1.2.1"


def test_a_wrong_guess_stops_at_its_next_file_and_one_series_is_held_at_a_time(
    first: tuple[Path, ...], second: tuple[Path, ...]
) -> None:
    asked: list[Path] = []
    begun, go = threading.Event(), threading.Event()

    def slow(path: Path, uid: str, size: tuple[int, int]) -> Frames:
        asked.append(path)
        begun.set()
        assert go.wait(DEADLINE_S)
        yield from decode(path, uid, size)

    prefetch = Prefetch(slow, 1)
    prefetch.begin(lambda: first)
    assert begun.wait(DEADLINE_S)
    assert prefetch.take(second) is None
    prefetch.begin(lambda: second)  # refused: the first is still in memory
    go.set()
    assert prefetch._thread is not None
    prefetch._thread.join(DEADLINE_S)
    assert len(asked) == 1
    assert prefetch.take(second) is None


@pytest.mark.parametrize("most_mb", [0, 1])
def test_a_series_that_takes_more_memory_than_it_may_is_left_alone(
    tmp_path: Path, most_mb: int
) -> None:
    positions = [5.0 * number for number in range(65)]
    paths = tuple(Phantom(positions, size=64, study="1.2.3").write(tmp_path))
    asked: list[Path] = []

    def counted(path: Path, uid: str, size: tuple[int, int]) -> Frames:
        asked.append(path)
        return decode(path, uid, size)

    prefetch = Prefetch(counted, most_mb)
    prefetch.begin(lambda: paths)
    if prefetch._thread is not None:
        prefetch._thread.join(DEADLINE_S)
    assert prefetch.take(paths) is None
    assert asked == []


def test_without_a_guess_nothing_is_begun(first: tuple[Path, ...]) -> None:
    prefetch = Prefetch(decode, 1)
    prefetch.begin(None)
    assert prefetch.take(first) is None
    assert prefetch._thread is None


def test_an_error_in_a_guess_is_nobodys_outcome(first: tuple[Path, ...], tmp_path: Path) -> None:
    def broken() -> Sequence[Path]:
        raise RuntimeError("the database went")

    prefetch = Prefetch(decode, 1)
    prefetch.begin(broken)
    assert prefetch.take(first) is None
    missing = (*first[:-1], tmp_path / "gone.dcm")
    assert finished(prefetch, missing).take(missing) is None


def test_a_decoder_that_is_killed_in_a_guess_harms_no_study(first: tuple[Path, ...]) -> None:
    with DecoderProcess(memory_mb=1024, limit_s=20) as decoder:

        def killed(path: Path, uid: str, size: tuple[int, int]) -> Frames:
            decoder.start().kill()
            return decoder(path, uid, size)

        prefetch = finished(Prefetch(killed, 1), first)
        assert prefetch.take(first) is None
        analyse(first, ThresholdPredictor(), load_rules(), first[0].parent, decoder)


def beside(prefetch: Prefetch, then: Sequence[Path]) -> Ahead:
    """Give an analysis the prefetch, and a series to guess."""
    return Ahead(prefetch.take, partial(finished, prefetch, then))


def test_an_analysis_is_the_same_with_its_series_prepared_by_the_one_before(
    first: tuple[Path, ...], second: tuple[Path, ...], tmp_path: Path
) -> None:
    rules, model = load_rules(), ThresholdPredictor()
    alone = analyse(second, model, rules, tmp_path / "alone")
    prefetch = Prefetch(decode, 1)
    analyse(first, model, rules, tmp_path / "out", ahead=beside(prefetch, second))
    after = analyse(second, model, rules, tmp_path / "out", ahead=beside(prefetch, ()))
    assert after.findings == alone.findings
    assert [made.sop_instance_uid for made in after.objects] == [
        made.sop_instance_uid for made in alone.objects
    ]


def test_a_missing_file_is_reported_by_the_study_that_lacks_it(
    first: tuple[Path, ...], second: tuple[Path, ...], tmp_path: Path
) -> None:
    prefetch = Prefetch(decode, 1)
    rules, model = load_rules(), ThresholdPredictor()
    analyse(first, model, rules, tmp_path / "out", ahead=beside(prefetch, second))
    second[0].unlink()
    with pytest.raises(SourceFileMissingError):
        analyse(second, model, rules, tmp_path / "out", ahead=beside(prefetch, ()))


def test_threads_that_share_a_prefetch_get_their_own_patient_or_nothing(tmp_path: Path) -> None:
    patients = {f"1.2.{number}": written(tmp_path, f"1.2.{number}") for number in range(1, 5)}
    prefetch = Prefetch(decode, 1)

    def work(study: str) -> list[str]:
        foreign = []
        for other in (*patients, study) * 3:
            prefetch.begin(partial(patients.__getitem__, other))
            found = study_of(prefetch.take(patients[study]))
            foreign += [] if found in (None, study) else [study]
        return foreign

    with ThreadPoolExecutor(len(patients)) as threads:
        assert [foreign for found in threads.map(work, patients) for foreign in found] == []


@pytest.mark.parametrize(
    ("device", "asked", "most_mb"),
    [("cpu", None, 0), ("cuda", None, 512), ("cpu", 64, 64), ("cuda", 0, 0)],
)
def test_reading_ahead_is_for_gpus_unless_it_is_asked_for(
    device: str, asked: int | None, most_mb: int
) -> None:
    settings = Settings(_env_file=None, prefetch_mb=asked)
    assert prefetch_mb(settings, device) == most_mb
