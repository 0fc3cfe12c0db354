"""Write a checkpoint's network as ONNX beside it, NAME.onnx, for `worker.munet.compiled`.

Needs the extra `export`; a host that runs what was exported needs the extra `compiled` alone.
"""

import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from worker.munet import checkpoint
from worker.munet.card import Card
from worker.munet.errors import BackendError

INPUT, MASKS, SCORES = "pictures", "masks", "scores"
WEIGHTS = "weights_sha256"  # in the file's metadata: which weights it was made of


class Plain(nn.Module):
    """A network as ONNX knows one: tensors in, tensors out."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Return the finest mask branch and the scores."""
        output = self.network(pictures)
        return output.masks[-1], output.scores


def onnx_path(path: Path) -> Path:
    """Return where the exported network of a checkpoint lies."""
    return checkpoint.paths(path)[0].with_suffix(".onnx")


def export(path: Path) -> Path:
    """Export a checkpoint; return the file.

    Raises
    ------
    CheckpointError
        The checkpoint cannot be read.
    BackendError
        The libraries of the extra `export` are missing, the network cannot be exported or the file
        not be written.
    """
    network, card = checkpoint.read(path)
    data = _model(network, card)
    target = onnx_path(path)
    part = target.with_name(target.name + ".part")
    try:
        part.write_bytes(data)
        part.replace(target)
    except OSError as error:
        raise BackendError(
            f"{target}: {error.strerror}; copy the checkpoint to a folder of yours, export it there"
            " and name it in TRIAGE_MODEL"
        ) from error
    return target


def _model(network: nn.Module, card: Card) -> bytes:
    side = card.preprocessing.size
    example = torch.zeros(2, card.network.in_channels, side, side)
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the exporter's, about itself
            program = torch.onnx.export(
                Plain(network),
                (example,),
                input_names=[INPUT],
                output_names=[MASKS, SCORES],
                dynamic_shapes=({0: torch.export.Dim("slices")},),
                verbose=False,
            )
    except (ImportError, RuntimeError) as error:
        missing = isinstance(error, ImportError)
        raise BackendError(
            f"{error}; install the extra export"
            if missing
            else f"the network cannot be exported: {str(error).splitlines()[0]}"
        ) from error
    if program is None:
        raise BackendError("the exporter gave no network")
    program.model.metadata_props[WEIGHTS] = card.sha256
    return program.model_proto.SerializeToString()  # type: ignore[no-any-return]
