"""A compiled network answers as torch does, or torch answers."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from structlog.testing import capture_logs

from schema.settings import Settings
from tests.support.models import tiny_model
from worker import engine
from worker.munet import checkpoint
from worker.munet.compiled import EAGER, ONNX
from worker.munet.inference import Predictor
from worker.munet.network import MUNet
from worker.munet.onnx_export import export, onnx_path
from worker.slices import read_series

WITHOUT_EXPORTER = """
import sys
sys.modules["onnxscript"] = None
from worker.__main__ import app
app()
"""
SAMPLES = Path(__file__).parents[2] / "deploy" / "samples"


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tiny_model(tmp_path_factory.mktemp("model") / "tiny.safetensors")
    export(path)
    return path


@pytest.fixture
def copy(exported: Path, tmp_path: Path) -> Path:
    """A checkpoint with its exported network that a test may spoil."""
    for path in (*checkpoint.paths(exported), onnx_path(exported)):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path / exported.name


def head() -> tuple[npt.NDArray[np.float32], npt.NDArray[np.floating]]:
    hu = np.random.default_rng(0).normal(40, 40, (5, 64, 64))
    return hu.astype(np.float32), np.arange(5) * 5.0


def test_an_exported_network_is_taken_and_answers_any_number_of_slices(exported: Path) -> None:
    eager, fast = Predictor(exported, "cpu"), Predictor(exported, "cpu", backend=ONNX)
    assert (fast.backend, fast.fallback) == (ONNX, "")
    for count in (1, 5):
        hu, positions = (part[:count] for part in head())
        there, here = eager.predict(hu, positions), fast.predict(hu, positions)
        assert here.slice_probabilities == pytest.approx(there.slice_probabilities, abs=1e-3)


def refused(path: Path) -> str:
    """Load a network that may not be taken, see that torch answers, and give the reason."""
    predictor = Predictor(path, "cpu", backend=ONNX)
    assert predictor.backend == EAGER
    assert predictor.predict(*head()).labels.shape == (5, 64, 64)
    return predictor.fallback


def test_without_an_exported_network_torch_answers_and_the_command_is_named(copy: Path) -> None:
    onnx_path(copy).unlink()
    assert "python -m worker export-onnx" in refused(copy)


def test_without_the_library_torch_answers(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert refused(copy) == "onnxruntime is not installed; install the extra compiled"


def test_a_file_that_is_no_network_is_not_taken(copy: Path) -> None:
    onnx_path(copy).write_bytes(b"no network")
    assert "export it again" in refused(copy)


def test_a_network_of_other_weights_is_not_taken(copy: Path) -> None:
    torch.manual_seed(1)
    tiny_model(copy)
    assert "was exported from other weights" in refused(copy)


def test_a_network_that_answers_otherwise_is_not_taken_whatever_it_says_of_itself(
    copy: Path,
) -> None:
    torch.manual_seed(1)
    card = checkpoint.read_card(copy)
    other = MUNet(card.network).state_dict()
    checkpoint.write(copy, other, card)
    data = onnx_path(copy).read_bytes()
    claimed = checkpoint.read_card(copy).sha256
    onnx_path(copy).write_bytes(data.replace(card.sha256.encode(), claimed.encode()))
    assert "from those of the weights" in refused(copy)


def test_a_network_that_gives_no_answer_is_not_taken(copy: Path) -> None:
    network, card = checkpoint.read(copy)
    smaller = replace(card, preprocessing=replace(card.preprocessing, size=32))
    assert smaller.preprocessing != card.preprocessing
    checkpoint.write(copy, network.state_dict(), smaller)
    assert "gives no answer" in refused(copy)


def test_the_command_says_what_it_lacks_in_one_line(copy: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_EXPORTER, "export-onnx", str(copy)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].endswith("install the extra export")


def test_a_worker_that_falls_back_says_so_in_one_line(copy: Path, tmp_path: Path) -> None:
    onnx_path(copy).unlink()
    settings = Settings(_env_file=None, home=tmp_path, model=copy, device="cpu", backend=ONNX)
    with capture_logs() as lines:
        engine._load(settings)
    (line,) = lines
    assert (line["log_level"], line["asked"]) == ("warning", ONNX)


@pytest.mark.slow
@pytest.mark.parametrize("sample", ["bleed", "ge-tilted", "healthy"])
def test_the_shipped_network_says_the_same_of_a_sample(shipped: Path, sample: str) -> None:
    volume = read_series(sorted((SAMPLES / sample).glob("*.dcm"))).volume
    eager, fast = Predictor(shipped, "cpu"), Predictor(shipped, "cpu", backend=ONNX)
    assert fast.backend == ONNX
    there = eager.predict(volume.hu, volume.slice_position_mm)
    here = fast.predict(volume.hu, volume.slice_position_mm)
    assert here.slice_probabilities == pytest.approx(there.slice_probabilities, abs=1e-3)
    assert list(here.probabilities.values()) == pytest.approx(
        list(there.probabilities.values()), abs=1e-3
    )
    found = np.count_nonzero(there.labels)
    assert np.count_nonzero(here.labels != there.labels) <= 0.001 * found


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shipped")
    for path in checkpoint.paths(checkpoint.SHIPPED):
        (folder / path.name).write_bytes(path.read_bytes())
    export(folder / checkpoint.SHIPPED.name)
    return folder / checkpoint.SHIPPED.name
