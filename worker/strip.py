"""What a study's page shows at a glance: a value for each slice, and the picture of one."""

from io import BytesIO
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from worker.objects.drawing import draw_key
from worker.objects.statement import Statement
from worker.slices import SourceSeries
from worker.volume import Volume

QUALITY: Final = 80  # of JPEG: about 10 kB


def slice_values(
    volume: Volume, labels: npt.NDArray[np.uint8], probabilities: npt.NDArray[np.floating]
) -> dict[str, Any]:
    """Give position, score and blood of each slice, from below, rounded; and where gaps are.

    Parameters
    ----------
    labels
        (slice, row, column), 0 where there is no blood.
    probabilities
        (slice,) score of any blood.
    """
    pixels = np.count_nonzero(labels, axis=(1, 2))
    pixel_ml = volume.spacing_mm[0] * volume.spacing_mm[1] / 1000  # of a height of 1 mm
    return {
        "position_mm": np.round(volume.slice_position_mm, 2).tolist(),
        "probability": np.round(np.asarray(probabilities, float), 3).tolist(),
        "blood_ml": np.round(pixels * volume.slice_heights_mm * pixel_ml, 3).tolist(),
        "gaps": [gap.after_slice for gap in volume.gaps],
    }


def key_picture(
    source: SourceSeries, labels: npt.NDArray[np.uint8], statement: Statement
) -> bytes | None:
    """Draw the slice with most blood as a JPEG; None where there is none."""
    pixels = np.count_nonzero(labels, axis=(1, 2))
    worst = int(np.argmax(pixels))
    if not pixels[worst]:
        return None
    hu, spacing_mm = source.volume.hu[worst], source.volume.spacing_mm
    picture = draw_key(hu, labels[worst], spacing_mm, statement, source.sides)
    file = BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=QUALITY)
    return file.getvalue()
