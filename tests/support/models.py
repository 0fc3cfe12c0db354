"""A model of almost nothing, so that the queue and not the network is at work."""

from pathlib import Path

from worker.munet import checkpoint
from worker.munet.card import Card, OperatingPoint, Scoring
from worker.munet.network import MUNet, NetworkConfig
from worker.munet.preprocessing import Preprocessing


def tiny_model(path: Path) -> Path:
    """Write a checkpoint of four channels."""
    config = NetworkConfig(width=4)
    points = {"balanced": OperatingPoint()}
    card = Card("tiny", "", config, Preprocessing(), Scoring(), points, "balanced", training={})
    checkpoint.write(path, MUNet(config).state_dict(), card)
    return path
