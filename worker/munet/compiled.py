"""A network that ONNX Runtime runs on the processor, in the place of the one that torch runs.

It is taken only if it was exported from the very weights and answers as they do, on this host.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from worker.munet.errors import BackendError
from worker.munet.network import Output
from worker.munet.onnx_export import INPUT, MASKS, SCORES, WEIGHTS, onnx_path

EAGER, ONNX = "eager", "onnxruntime"
TOLERANCE = 1e-3  # of a probability
TRIED = 2  # slices of noise that both answer


class Compiled(nn.Module):
    """Answers as `MUNet.forward` does in eval mode."""

    def __init__(self, session: Any) -> None:
        super().__init__()
        self._session = session

    def forward(self, x: Tensor) -> Output:
        """Return the logits of (slice, channel, rows, columns) pictures."""
        masks, scores = self._session.run([MASKS, SCORES], {INPUT: x.contiguous().numpy()})
        return Output((torch.from_numpy(masks),), torch.from_numpy(scores))


def compiled(network: nn.Module, path: Path, sha256: str, shape: tuple[int, int, int]) -> Compiled:
    """Load the exported form of a network that is loaded already.

    Parameters
    ----------
    network
        In eval mode, on the processor.
    path
        Of its checkpoint, beside which the exported form lies.
    sha256
        Of its weights.
    shape
        Channels, rows and columns of a picture.

    Raises
    ------
    BackendError
        There is none, or it is not the same network; the message says what to do.
    """
    found = Compiled(_session(onnx_path(path), sha256))
    noise = torch.rand((TRIED, *shape), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = network(noise)
        try:
            apart = _apart(expected, found(noise))
        except Exception as error:
            # The edge: as where it is loaded; of another size, or of names of another release.
            raise BackendError(
                f"{onnx_path(path)}: gives no answer ({type(error).__name__}); export it again"
            ) from error
    if not apart <= TOLERANCE:  # NaN is not <= either
        raise BackendError(
            f"{onnx_path(path)}: its probabilities are up to {apart:.2g} from those of the weights;"
            " export it again"
        )
    return found


def _apart(one_way: Output, other: Output) -> float:
    """Give the largest distance between two answers, in probability."""
    pairs = ((one_way.masks[-1], other.masks[-1]), (one_way.scores, other.scores))
    return max(float((a.sigmoid() - b.sigmoid()).abs().max()) for a, b in pairs)


def _session(path: Path, sha256: str) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise BackendError("onnxruntime is not installed; install the extra compiled") from error
    try:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        # Threads that wait for work by spinning take the processor from those who have some.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        data = path.read_bytes()
        session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except OSError as error:
        raise BackendError(f"{path}: {error.strerror}; run python -m worker export-onnx") from error
    except Exception as error:
        # The edge: exceptions of the library share no other base.
        raise BackendError(f"{path}: {type(error).__name__}; export it again") from error
    if session.get_modelmeta().custom_metadata_map.get(WEIGHTS) != sha256:
        raise BackendError(f"{path}: was exported from other weights; export it again")
    return session
