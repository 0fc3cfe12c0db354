"""Programs of an earlier release, taken out of the history of this repository."""

import io
import subprocess
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RELEASE_0_1_0 = "45e85d067cb8dd00c2ad6271783e7a57919f926c"


def release(commit: str, folder: Path) -> Path:
    """Write the files of a commit into a folder, or skip the test where its history is not here."""
    known = _git("cat-file", "-e", f"{commit}^{{commit}}")
    if known.returncode:
        pytest.skip(f"{commit} is not in the history here: a shallow clone, or no clone at all")
    packed = _git("archive", commit, "schema", "receiver", "worker", "worklist")
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return folder


def _git(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, check=False)
