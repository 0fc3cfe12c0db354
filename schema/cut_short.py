"""What reader and operator are told of how a series arrived."""

from typing import Final

CUT_SHORT: Final = "its sender aborted the association, images may be missing"
