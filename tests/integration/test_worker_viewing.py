"""The process that makes slices ready for the page, as the page starts it."""

import gzip
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from schema.files import MEGABYTE
from tests.support.phantoms import (
    BLOOD_HU,
    FEW_MM,
    HEAD_MM,
    Phantom,
    ThresholdPredictor,
    ge_series,
)
from worker.analysis import analyse
from worker.rules import load_rules
from worker.slices import read_series

pytestmark = pytest.mark.slow  # decodes in a process for each test

MEMORY = 2**31


def ask(paths: list[Path], segmentation: Path | None = None, memory: int = MEMORY) -> bytes:
    request = {
        "paths": [str(path) for path in paths],
        "segmentation": str(segmentation) if segmentation else None,
    }
    return subprocess.run(
        [sys.executable, "-m", "worker.viewing", str(memory), "30"],
        input=json.dumps(request).encode(),
        capture_output=True,
        check=True,
    ).stdout


def parts(answer: bytes) -> Iterator[tuple[list[str], bytes]]:
    while answer:
        head, _, answer = answer.partition(b"\n")
        *what, length = head.decode().split()
        yield what, answer[: int(length)]
        answer = answer[int(length) :]


def read(answer: bytes) -> tuple[dict[str, Any], np.ndarray, np.ndarray]:
    """Give what is said of the stack, (slice, row, column) HU and segment numbers."""
    (_, told), *slices, (last, _) = parts(answer)
    assert last == ["end"]
    stack = json.loads(told)
    shape = (stack["rows"], stack["columns"])
    pixels = shape[0] * shape[1]
    found = {int(what[1]): gzip.decompress(packed) for what, packed in slices}
    raw = [found[index] for index in range(len(stack["position_mm"]))]
    hu = [np.frombuffer(frame[: 2 * pixels], "<i2").reshape(shape) for frame in raw]
    labels = [np.frombuffer(frame[2 * pixels :], np.uint8).reshape(shape) for frame in raw]
    return stack, np.stack(hu), np.stack(labels)


def segmentation(paths: list[Path], folder: Path) -> Path:
    found = analyse(paths, ThresholdPredictor("SDH"), load_rules(), folder)
    return next(written.path for written in found.objects if written.kind == "SEG")


@pytest.mark.parametrize("is_reversed", [False, True])
def test_a_slice_holds_what_the_worker_read(tmp_path: Path, is_reversed: bool) -> None:
    phantom = Phantom(HEAD_MM[::3], skull=True, reversed=is_reversed, tilt_degrees=12)
    paths = phantom.write(tmp_path)[::-1]
    stack, hu, labels = read(ask(paths, segmentation(paths, tmp_path / "out")))
    expected = read_series(paths).volume
    assert np.array_equal(hu, expected.hu)
    assert np.array_equal(labels == 5, (expected.hu >= 50) & (expected.hu <= 90))
    assert stack["position_mm"] == pytest.approx(expected.slice_position_mm, abs=0.01)


def test_a_multi_frame_object_is_laid_out_as_its_slices_lie(tmp_path: Path) -> None:
    paths = Phantom(FEW_MM, skull=True, reversed=True).write_enhanced(tmp_path)
    stack, hu, labels = read(ask(paths, segmentation(paths, tmp_path / "out")))
    assert np.array_equal(hu, read_series(paths).volume.hu)
    assert np.array_equal(labels > 0, hu == BLOOD_HU)
    assert np.argmax(stack["blood_ml"]) == np.argmax((labels > 0).sum(axis=(1, 2)))


def test_a_real_head_with_tilt_says_what_lies_where() -> None:
    stack, hu, labels = read(ask(ge_series()))
    assert stack["sides"] == {"left": "R", "right": "L", "top": "A", "bottom": "P"}
    assert len(hu) == len(ge_series())
    assert not labels.any()


def test_a_gap_is_named_by_the_slice_below_it(tmp_path: Path) -> None:
    paths = Phantom([0.0, 5.0, 10.0, 40.0, 45.0], skull=True).write(tmp_path)
    assert read(ask(paths))[0]["gaps"] == [2]


def test_a_picture_that_is_turned_says_so(tmp_path: Path) -> None:
    turned = {"ImageOrientationPatient": [-1, 0, 0, 0, 1, 0]}
    paths = Phantom([0.0, 5.0], skull=True, changes=turned).write(tmp_path)
    sides = read(ask(paths))[0]["sides"]
    assert (sides["left"], sides["right"]) == ("L", "R")


def test_what_cannot_be_decoded_is_named_and_nothing_of_the_patient(tmp_path: Path) -> None:
    paths = Phantom([0.0, 5.0], skull=True).write(tmp_path)
    paths[1].write_bytes(paths[1].read_bytes()[:-5000])
    what, said = list(parts(ask(paths)))[-1]
    assert what == ["error"]
    assert b"send it again" in said
    assert b"Phantom" not in said


def test_more_memory_than_allowed_is_an_answer_and_no_crash_of_the_page(tmp_path: Path) -> None:
    paths = Phantom([0.0, 5.0], size=2048, skull=True).write(tmp_path)
    what, said = list(parts(ask(paths, memory=250 * MEGABYTE)))[-1]
    assert (what, said) == (["error"], b"its pixels need more than TRIAGE_DECODE_MEMORY_MB=250")
