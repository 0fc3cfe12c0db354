"""What the IHSNet paper and the work that it compares with report, to print beside ours."""

from dataclasses import dataclass

ORDER = ("IVH", "IPH", "SAH", "SDH", "EDH")  # of the paper's tables 7 and 8

TABLE_4 = {  # slices before and after SMOTE
    "EDH": (173, 408),
    "IPH": (73, 400),
    "IVH": (24, 385),
    "SAH": (18, 403),
    "SDH": (56, 364),
}

DICE = {"IVH": 0.77, "IPH": 0.80, "SAH": 0.92, "SDH": 0.64, "EDH": 0.84, "mean": 0.79}  # table 7
IOU = {"IVH": 0.67, "IPH": 0.71, "SAH": 0.82, "SDH": 0.51, "EDH": 0.69, "mean": 0.68}  # table 7
MEAN_ICC = 0.87  # table 7

# Table 8, without the proposed method's row, which is table 7's.
WITHOUT_FPN = {
    "dice": {"IVH": 0.59, "IPH": 0.64, "SAH": 0.70, "SDH": 0.50, "EDH": 0.69},
    "iou": {"IVH": 0.45, "IPH": 0.50, "SAH": 0.59, "SDH": 0.35, "EDH": 0.56},
}
WITHOUT_SMOTE = {
    "dice": {"IVH": 0.45, "IPH": 0.57, "SAH": 0.52, "SDH": 0.49, "EDH": 0.68},
    "iou": {"IVH": 0.34, "IPH": 0.42, "SAH": 0.37, "SDH": 0.35, "EDH": 0.55},
}

# Table 9: accuracy, precision, recall, F1. Its accuracy by type is a share of the type's slices.
CLASSIFICATION = {
    "EDH": (1.00, 1.00, 1.00, 1.00),
    "IPH": (1.00, 1.00, 1.00, 1.00),
    "IVH": (1.00, 1.00, 1.00, 1.00),
    "SAH": (1.00, 0.67, 1.00, 0.80),
    "SDH": (0.81, 1.00, 0.82, 0.90),
}
ACCURACY = 0.987  # below table 9, and table 11

# Table 11, the row of the proposed method.
AUC = {"EDH": 1.00, "IVH": 1.00, "SAH": 0.99, "IPH": 1.00, "SDH": 1.00}
SPECIFICITY, SENSITIVITY, PRECISION = 0.94, 0.98, 0.93


@dataclass(frozen=True)
class Segmenter:
    """A row of table 10."""

    authors: str
    method: str
    dice: float
    iou: float | None


@dataclass(frozen=True)
class Rater:
    """A row of table 11."""

    authors: str
    method: str
    auc: tuple[float | None, ...]  # EDH, IVH, SAH, IPH, SDH
    figures: tuple[float | None, ...]  # specificity, sensitivity, precision, accuracy


TABLE_10 = (
    Segmenter("Emon et al.", "ResUNet-CutMix", 0.61, 0.44),
    Segmenter("Vamsi", "lightweight neural network", 0.729, None),
    Segmenter("Nie et al.", "KP-SAM", 0.774, 0.597),
    Segmenter("Wang et al.", "U-Net with attention modules", 0.717, 0.596),
    Segmenter("Ahmed and Prakasam", "MUNet, the paper", DICE["mean"], IOU["mean"]),
)
NO_AUC = (None,) * 5
TABLE_11_TYPES = ("EDH", "IVH", "SAH", "IPH", "SDH")
TABLE_11 = (
    Rater("Alfaer et al.", "AICH-FDLSI", (None, None, None, 0.886, 0.910),
          (0.983, 0.886, 0.910, 0.977)),
    Rater("Wang et al.", "2D CNN + sequence models", (0.953, 0.985, 0.962, 0.916, 0.983),
          (0.914, 0.916, None, None)),
    Rater("Agarwal et al.", "CA-ConvNeXt", (0.91, 0.94, 0.97, 0.97, 0.87),
          (None, 0.97, 0.87, None)),
    Rater("Anupama et al.", "GC-SDL", NO_AUC, (0.97, 0.94, 0.95, 0.95)),
    Rater("Nizarudeen et al.", "ICH-DC-ResNet-DenseNet-XG Boost", NO_AUC,
          (0.972, 0.98, 0.97, 0.97)),
    Rater("Hilal et al.", "IICH-D-BS", NO_AUC, (0.99, 0.968, 0.965, 0.986)),
    Rater("Ahmed and Prakasam", "MUNet, the paper",
          tuple(AUC[name] for name in TABLE_11_TYPES),
          (SPECIFICITY, SENSITIVITY, PRECISION, ACCURACY)),
)  # fmt: skip
