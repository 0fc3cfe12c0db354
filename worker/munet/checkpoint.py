"""Weights as safetensors with their card as JSON beside them: NAME.safetensors and NAME.json.

The two are one thing: a pair that does not fit together is refused, never repaired.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from worker.munet.card import Card
from worker.munet.ensemble import make
from worker.munet.errors import CheckpointError

SHIPPED = Path(__file__).with_name("weights") / "munet.safetensors"


def paths(path: Path) -> tuple[Path, Path]:
    """Return the weights' and the card's path of a checkpoint, given either."""
    if path.suffix not in (".safetensors", ".json"):
        raise CheckpointError(f"{path}: a checkpoint is a .safetensors file with a .json beside it")
    return path.with_suffix(".safetensors"), path.with_suffix(".json")


def read_card(path: Path) -> Card:
    """Read the JSON half alone.

    Raises
    ------
    CheckpointError
        The file is missing, is no JSON, or says something that this version does not know.
    """
    card_path = paths(path)[1]
    try:
        return Card.from_json(card_path.read_bytes())
    except OSError as error:
        raise CheckpointError(f"{card_path}: {error.strerror}; put it back") from error
    except ValueError as error:
        raise CheckpointError(
            f"{card_path}: {error}; use the JSON that was written with the weights"
        ) from error


def read(path: Path) -> tuple[nn.Module, Card]:
    """Load a network in eval mode and its card.

    Parameters
    ----------
    path
        Either file of the pair.

    Raises
    ------
    CheckpointError
        A file is missing, or the weights are not the ones the card describes.
    """
    card = read_card(path)
    weights_path = paths(path)[0]
    try:
        data = weights_path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{weights_path}: {error.strerror}; put it back") from error
    if hashlib.sha256(data).hexdigest() != card.sha256:
        raise CheckpointError(
            f"{weights_path}: is not the file its card was written for (sha256 differs);"
            " copy both files of the checkpoint again"
        )
    network = make(card.network, card.members)
    try:
        network.load_state_dict({name: value.float() for name, value in load(data).items()})
    except (SafetensorError, RuntimeError) as error:
        raise CheckpointError(
            f"{weights_path}: does not fit the network that its card describes:"
            f" {str(error).splitlines()[0]}"
        ) from error
    return network.eval(), card


def at(card: Card, point: str | None, path: Path) -> Card:
    """Return the card with one of its operating points in force; none named changes nothing.

    Raises
    ------
    CheckpointError
        The card has no point of that name.
    """
    if point and point not in card.operating_points:
        raise CheckpointError(
            f"{path}: has no operating point {point!r}; it has {', '.join(card.operating_points)}"
        )
    return replace(card, chosen=point or card.chosen)


def write(path: Path, weights: Mapping[str, Tensor], card: Card) -> Card:
    """Write both files, the weights first, each by rename; return the card with its sha256."""
    weights_path, card_path = paths(path)
    data = save({name: value.detach().cpu().contiguous() for name, value in weights.items()})
    card = replace(card, sha256=hashlib.sha256(data).hexdigest())
    text = json.dumps(card.to_json(), indent=1, ensure_ascii=False) + "\n"
    weights_path.parent.mkdir(parents=True, exist_ok=True)
    for target, content in ((weights_path, data), (card_path, text.encode())):
        part = target.with_name(target.name + ".part")
        part.write_bytes(content)
        part.replace(target)
    return card
