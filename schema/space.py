"""What is left of the storage: bytes, and inodes, without which no file begins."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

MIN_FREE_INODES: Final = 1000  # about one large study's: below it images are refused


@dataclass(frozen=True)
class Space:
    """What a file system says of itself; of one that does not count inodes there are 0 in all."""

    free_bytes: int
    size_bytes: int
    free_inodes: int
    size_inodes: int

    def lack(self, min_free_bytes: int) -> str | None:
        """Say of what too little is left to receive, or nothing."""
        if self.free_bytes < min_free_bytes:
            return "less than TRIAGE_MIN_FREE_MB free"
        if self.size_inodes and self.free_inodes < MIN_FREE_INODES:
            return (
                f"{self.free_inodes} of {self.size_inodes} inodes left, fewer than"
                f" {MIN_FREE_INODES}: remove files, or give it more (df -i)"
            )
        return None


def read_space(path: Path) -> Space:
    """Ask the file system that a folder is on."""
    found = os.statvfs(path)
    return Space(
        found.f_bavail * found.f_frsize,
        found.f_blocks * found.f_frsize,
        found.f_favail,
        found.f_files,
    )
