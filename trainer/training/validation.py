"""What a network in training does on patients it does not learn from, on its own grid."""

from collections.abc import Collection
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from trainer.config import Loss, Stage
from trainer.datasets.cache import Prepared
from trainer.evaluation.metrics import CalledTypes, PixelCounts, auc, sensitivity, specificity
from trainer.evaluation.operating import SCORING
from trainer.training.batches import Bleeds, load_batch
from trainer.training.losses import total_loss
from worker.munet.card import Scoring
from worker.munet.device import on
from worker.munet.inference import run, study_logits


@dataclass(frozen=True)
class Progress:
    """One epoch's figures; the thresholds are plain 0.5, nothing is tuned for them."""

    validation_loss: float  # equation 4 with the finest branch alone; what early stopping watches
    dice: float  # any, pooled
    mean_dice: float  # any, mean over positive slices
    slice_auc: float
    study_auc: float
    type_accuracy: float  # argmax of five on slices with one type
    sensitivity: float  # any, by slice
    specificity: float  # any, by slice


def shrink(pictures: npt.NDArray[np.uint8], size: int) -> npt.NDArray[np.uint8]:
    """Bring (slice, rows, columns) to a stage's size."""
    if pictures.shape[-1] == size:
        return pictures
    resized = [
        cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA) for picture in pictures
    ]
    return np.asarray(np.stack(resized), np.uint8)


def validate(
    network: nn.Module, prepared: Prepared, patients: Collection[int], stage: Stage, config: Loss
) -> Progress:
    """Score whole patients at a stage's size."""
    network.eval()
    size = stage.size
    blood, found, logits, truth, studies, bleeds = [], [], [], [], [], []
    for patient in patients:
        rows, series = prepared.where([patient]), prepared.series(patient)
        series = series._replace(pictures=shrink(series.pictures, size))
        maps = run(network, series, Scoring(), next(network.parameters()).device)
        blood.append(shrink(prepared.masks[rows].astype(np.uint8) * 255, size) >= 128)
        found.append(maps.any_map >= 0.5)
        logits.append(maps.logits)
        truth.append(prepared.types[rows])
        studies.append(study_logits(maps, SCORING)[-1])
        bleeds.append(bool(prepared.positive[rows].any()))
    scores, types = np.concatenate(logits), np.concatenate(truth)
    positive = np.asarray(types.any(axis=1))
    counts = PixelCounts.of(np.concatenate(blood), np.concatenate(found))
    return Progress(
        mean_loss(network, prepared, prepared.where(patients), stage, config),
        counts.dice,
        counts.with_blood.mean_dice,
        auc(positive, scores[:, -1]),
        auc(np.array(bleeds), np.array(studies)),
        CalledTypes.of(scores, types).accuracy,
        sensitivity(positive, scores[:, -1] >= 0),
        specificity(positive, scores[:, -1] >= 0),
    )


@torch.no_grad()
def mean_loss(
    network: nn.Module,
    prepared: Prepared,
    rows: npt.NDArray[np.intp],
    stage: Stage,
    config: Loss,
) -> float:
    """Give the loss of equation 4, of the finest branch, over untouched slices in batches."""
    config = replace(config, branches=config.branches[-1:])  # a network gives no other in eval mode
    untouched = Bleeds(prepared, rows, 0, np.random.default_rng(0))
    device, total = next(network.parameters()).device, 0.0
    for batch in np.split(rows, range(stage.batch, len(rows), stage.batch)):
        loaded = load_batch(prepared, batch, stage.size, untouched)
        output = network(on(loaded.pictures, device))
        total += float(total_loss(output, loaded.target.to(device), config)) * len(batch)
    return total / len(rows)
