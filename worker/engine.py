"""What a worker needs before it may take a study: model, rules, decoder; loaded once and tried.

The one room of the worker's edge that imports torch, so it is imported where studies are analysed
and never in the parent of the pool.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np
import structlog
import torch
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from schema.errors import DeviceUnavailableError, ModelError, TriageError, WorkerError
from schema.settings import Settings
from worker.analysis import Ahead, Analysis, analyse
from worker.decoders import Decoders
from worker.delivery.destinations import load_destinations
from worker.durable import RESULTS
from worker.munet.errors import CheckpointError, DeviceError
from worker.munet.inference import Predictor
from worker.objects.revision import FIRST, Revision
from worker.prefetch import NextPaths, Prefetch
from worker.rules import load_rules
from worker.self_tests import Memory

log = structlog.get_logger()

BESIDE_GPU_MB: Final = 512  # 488 slices of 512 x 512
SHIPPED_MODEL: Final = Path(__file__).parent / "munet" / "weights" / "munet.safetensors"
PIXELS: Final = 256
WATER, BONE, AIR = 0, 1000, -1000  # HU


class Engine:
    """Analyses series one after the other with what was loaded for the settings.

    Raises
    ------
    WorkerError
        If the model, the device or the rules are not what the settings say.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._rules = load_rules(settings.rules)
        self._predictor = _load(settings)
        self._decoders = Decoders(settings.decode_memory_mb, settings.decode_limit_s)
        most_mb = prefetch_mb(settings, self._predictor.device.type)
        self._prefetch = Prefetch(self._decoders, most_mb)
        self._forms = load_destinations(settings.destinations).forms

    def analyse(
        self,
        paths: Sequence[Path],
        revision: Revision = FIRST,
        next_paths: NextPaths | None = None,
        cut_short: bool = False,
    ) -> Analysis:
        """Analyse one series.

        Parameters
        ----------
        paths, revision, cut_short
            See `worker.analysis.analyse`.
        next_paths
            Guesses the files of the series after it, which are read meanwhile; None: not this time.

        Raises
        ------
        DeviceUnavailableError
            If the device has no memory left.
        TriageError
            What `worker.analysis.analyse` raises.
        """
        results = self._settings.storage / RESULTS
        try:
            return analyse(
                paths,
                self._predictor,
                self._rules,
                results,
                self._decoders,
                revision,
                self._forms,
                Ahead(self._prefetch.take, partial(self._prefetch.begin, next_paths)),
                cut_short=cut_short,
            )
        except torch.OutOfMemoryError as error:
            raise self._no_memory() from error

    def test(self) -> None:
        """Decode and infer a slice of our own, so that a fault shows before a study is touched.

        Raises
        ------
        WorkerError
            If any of it fails.
        """
        try:
            with TemporaryDirectory() as folder:
                path, uid = _write_slice(Path(folder))
                hu = np.stack(list(self._decoders(path, uid, (PIXELS, PIXELS))))
            prediction = self._predictor.predict(hu, np.zeros(1))
        except torch.OutOfMemoryError as error:
            raise self._no_memory() from error
        except (TriageError, RuntimeError, OSError, ValueError) as error:
            raise WorkerError(f"self-test: {str(error).splitlines()[0]}") from error
        if not np.isfinite(list(prediction.probabilities.values())).all():
            raise ModelError(f"model {self._predictor.card.name}: no finite answer to a slice")

    @property
    def model(self) -> tuple[str, str]:
        """The model's name, and the digest of its weights."""
        return self._predictor.card.name, self._predictor.card.sha256

    @property
    def memory(self) -> Memory | None:
        """What the GPU has left; None on a processor, and of a driver that does not answer."""
        device = self._predictor.device
        if device.type != "cuda":
            return None
        try:
            free_bytes, total_bytes = torch.cuda.mem_get_info(device)
        except RuntimeError:
            return None
        return Memory(str(device), free_bytes, total_bytes)

    def stop(self) -> None:
        """End the decoders."""
        self._decoders.stop()

    def _no_memory(self) -> DeviceUnavailableError:
        device = self._predictor.device
        return DeviceUnavailableError(
            f"device {device}: out of memory; see what else runs on it (TRIAGE_DEVICE)"
        )


def prefetch_mb(settings: Settings, device: str) -> int:
    """Read ahead beside a GPU; on a processor that would take the network's own cores."""
    if settings.prefetch_mb is not None:
        return settings.prefetch_mb
    return BESIDE_GPU_MB if device == "cuda" else 0


def _load(settings: Settings) -> Predictor:
    model = settings.model or SHIPPED_MODEL
    try:
        predictor = Predictor(model, settings.device, settings.operating_point, settings.backend)
    except CheckpointError as error:
        raise ModelError(f"model: {error} (TRIAGE_MODEL, TRIAGE_OPERATING_POINT)") from error
    except DeviceError as error:
        raise DeviceUnavailableError(f"{error} (TRIAGE_DEVICE)") from error
    except torch.OutOfMemoryError as error:
        raise DeviceUnavailableError(
            f"device {settings.device}: no memory for the model (TRIAGE_DEVICE)"
        ) from error
    except RuntimeError as error:  # a driver that is gone
        raise DeviceUnavailableError(
            f"device {settings.device}: {str(error).splitlines()[0]} (TRIAGE_DEVICE)"
        ) from error
    if predictor.fallback:
        log.warning("eager runs the network", asked=settings.backend, reason=predictor.fallback)
    return predictor


def _write_slice(folder: Path) -> tuple[Path, str]:
    """Write a disc of water in a ring of bone as a CT object; give its path and UID."""
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = CTImageStorage, generate_uid()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.Modality = "CT"
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.ImagePositionPatient, ds.ImageOrientationPatient = [0, 0, 0], [1, 0, 0, 0, 1, 0]
    ds.PixelSpacing = [0.9, 0.9]
    ds.RescaleSlope, ds.RescaleIntercept, ds.RescaleType = 1, 0, "HU"
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows = ds.Columns = PIXELS
    ds.BitsAllocated = ds.BitsStored = 16
    ds.HighBit, ds.PixelRepresentation = 15, 1
    ds.PixelData = _disc().tobytes()
    path = folder / "slice.dcm"
    ds.save_as(path, enforce_file_format=True)
    return path, str(ds.SOPInstanceUID)


def _disc() -> "np.ndarray[tuple[int, ...], np.dtype[np.int16]]":
    row, column = np.indices((PIXELS, PIXELS)) - PIXELS / 2
    radius = np.hypot(row, column)
    return np.select([radius < 80, radius < 90], [WATER, BONE], AIR).astype("<i2")
