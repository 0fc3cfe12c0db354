"""Synthetic CT series: a head of water with a bright sphere, scanned in every awkward way."""

import copy
import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType, SimpleNamespace

import numpy as np
import numpy.typing as npt
import pytest
from pydicom import dcmread
from pydicom.config import IGNORE
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    CTImageStorage,
    EnhancedCTImageStorage,
    ExplicitVRLittleEndian,
    JPEGLossless,
    JPEGLosslessSV1,
)

from schema.hemorrhage_subtypes import ANY, KEYS, Claim

SIZE = 64
SPACING_MM = 2.5
HEAD_RADIUS_MM = 70.0
SPHERE_RADIUS_MM = 25.0
SPHERE_ML = 4 / 3 * np.pi * SPHERE_RADIUS_MM**3 / 1000
AIR_HU, WATER_HU, BLOOD_HU = -1000, 0, 70
BRAIN_HU, BONE_HU = 30, 1000
SKULL_MM = 6.0
HEAD_HEIGHT_MM = 72.0  # from the middle to vertex and base
HEAD_MM = tuple(np.arange(-70.0, 70.1, 5.0).tolist())  # the whole of a head with a skull
REGULAR_MM = tuple(np.arange(-30.0, 30.1, 2.5).tolist())
THIN_THEN_THICK_MM = (*np.arange(-30.0, 0.1, 2.5).tolist(), *np.arange(5.0, 30.1, 5.0).tolist())
FEW_MM = (-5.0, 0.0, 5.0, 10.0)
EMERGENCY = (
    "AccessionNumber",
    "PatientBirthDate",
    "PatientID",
    "PatientName",
    "PatientSex",
    "PositionReferenceIndicator",
    "ReferringPhysicianName",
    "SliceThickness",
    "StudyDate",
    "StudyID",
    "StudyTime",
)
PADDING = -2000  # a stored value


@dataclass(frozen=True)
class Phantom:
    """How the head is scanned; `datasets` are its slices from the lowest to the highest.

    `slice_position_mm` are table positions. With a tilt the table still moves along the patient, so
    the slices are sheared, as a gantry does it. `rescale` gives slope and intercept by slice. A
    `skull` makes a head of it that a look at the pixels takes for one: brain in an egg of bone.
    """

    slice_position_mm: Sequence[float] = REGULAR_MM
    tilt_degrees: float = 0.0
    size: int = SIZE
    signed: bool = True
    bits_stored: int = 16
    reversed: bool = False
    mirrored: bool = False  # rows run to the right, so that the normal points to the feet
    rescale: Callable[[int], tuple[float, float]] = lambda index: (1.0, -1024.0)
    padded: bool = False
    without: Sequence[str] = ()
    changes: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))
    study: str = "1.2.3"
    skull: bool = False
    sphere_hu: float = BLOOD_HU
    spacing_mm: float = SPACING_MM
    thickness_mm: float | None = None  # of all slices; else each reaches to its nearest neighbour

    @property
    def orientation(self) -> npt.NDArray[np.float64]:
        """Direction of a row and of a column, (2, 3)."""
        angle = np.radians(self.tilt_degrees)
        row = [-1 if self.mirrored else 1, 0, 0]
        return np.array([row, [0, np.cos(angle), np.sin(angle)]])

    def origin(self, index: int) -> npt.NDArray[np.float64]:
        """Centre of the first pixel; the frame's centre lies on the patient's axis."""
        half = (self.size - 1) / 2 * self.spacing_mm
        return np.array([0, 0, self.slice_position_mm[index]]) - half * self.orientation.sum(axis=0)

    def thickness(self, index: int) -> float:
        """Slice Thickness of one slice."""
        if self.thickness_mm is not None:
            return self.thickness_mm
        steps = np.diff(self.slice_position_mm)[max(0, index - 1) : index + 1]
        return float(np.abs(steps).min(initial=20.0))

    def hu(self, index: int) -> npt.NDArray[np.float64]:
        """HU of one slice, (row, column)."""
        steps = np.arange(self.size) * self.spacing_mm
        row, column = self.orientation
        points = (
            self.origin(index)
            + steps[:, None, None] * column  # down the rows
            + steps[None, :, None] * row
        )
        across = np.linalg.norm(points[..., :2], axis=-1)
        away = np.linalg.norm(points, axis=-1)
        hu = np.where(across < HEAD_RADIUS_MM, WATER_HU, AIR_HU)
        if self.skull:
            hu = _egg(across, points[..., 2])
        return np.where(away < SPHERE_RADIUS_MM, self.sphere_hu, hu).astype(np.float64)

    def stored(self, index: int) -> npt.NDArray[np.integer]:
        """Stored values of one slice; padding outside the circle of reconstruction."""
        slope, intercept = self.rescale(index)
        values = np.rint((self.hu(index) - intercept) / slope)
        if self.padded:
            y, x = np.mgrid[: self.size, : self.size] - (self.size - 1) / 2
            values[np.hypot(x, y) > self.size / 2] = PADDING
        return values.astype("<i2" if self.signed else "<u2")

    @property
    def datasets(self) -> list[Dataset]:
        """The slices as CT Image Storage."""
        return [self.dataset(index) for index in range(len(self.slice_position_mm))]

    def dataset(self, index: int) -> Dataset:
        """One slice as a scanner sends it."""
        ds = self.common(CTImageStorage, f"{self.study}.1.{index + 1}")
        count = len(self.slice_position_mm)
        ds.InstanceNumber = count - index if self.reversed else index + 1
        ds.ImagePositionPatient = _decimals(self.origin(index))
        ds.ImageOrientationPatient = _decimals(self.orientation.ravel())
        ds.PixelSpacing = [self.spacing_mm, self.spacing_mm]
        ds.RescaleSlope, ds.RescaleIntercept = self.rescale(index)
        ds.RescaleType = "HU"
        ds.SliceThickness = self.thickness(index)
        ds.PixelData = self.stored(index).tobytes()
        return self._changed(ds)

    @property
    def enhanced(self) -> Dataset:
        """All slices as one Enhanced CT object, in the file's order; `reversed` turns it."""
        count = len(self.slice_position_mm)
        order = range(count)[::-1] if self.reversed else range(count)
        ds = self.common(EnhancedCTImageStorage, f"{self.study}.1.1")
        ds.InstanceNumber = 1
        ds.NumberOfFrames = count
        ds.ContentDate, ds.ContentTime = "20260102", "120000"
        ds.DimensionOrganizationSequence = [item(DimensionOrganizationUID=f"{self.study}.8")]
        ds.SharedFunctionalGroupsSequence = [self._shared()]
        ds.PerFrameFunctionalGroupsSequence = [
            self._own(index, number) for number, index in enumerate(order, start=1)
        ]
        ds.PixelData = b"".join(self.stored(index).tobytes() for index in order)
        return self._changed(ds)

    def _shared(self) -> Dataset:
        measures = item(
            PixelSpacing=[self.spacing_mm, self.spacing_mm],
            SliceThickness=min(map(self.thickness, range(len(self.slice_position_mm)))),
        )
        kind = item(FrameType=["ORIGINAL", "PRIMARY", "AXIAL", "NONE"])
        return item(
            PixelMeasuresSequence=[measures],
            PlaneOrientationSequence=[
                item(ImageOrientationPatient=_decimals(self.orientation.ravel()))
            ],
            CTImageFrameTypeSequence=[kind],
        )

    def _own(self, index: int, number: int) -> Dataset:
        slope, intercept = self.rescale(index)
        rescale = item(RescaleSlope=slope, RescaleIntercept=intercept, RescaleType="HU")
        return item(
            FrameContentSequence=[item(InStackPositionNumber=number, StackID="1")],
            PlanePositionSequence=[item(ImagePositionPatient=_decimals(self.origin(index)))],
            PixelValueTransformationSequence=[rescale],
        )

    def common(self, sop_class_uid: str, sop_instance_uid: str) -> Dataset:
        """What single and multi-frame objects share."""
        ds = Dataset()
        ds.file_meta = FileMetaDataset()
        ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = sop_class_uid
        ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID = sop_instance_uid
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        ds.SpecificCharacterSet = "ISO_IR 192"
        ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        ds.Modality = "CT"
        ds.StudyInstanceUID, ds.SeriesInstanceUID = self.study, f"{self.study}.1"
        ds.FrameOfReferenceUID = f"{self.study}.9"
        ds.PatientName, ds.PatientID, ds.PatientSex = "Phantom^Water", "P1", "O"
        ds.PatientBirthDate = "19500101"
        ds.StudyDate, ds.StudyTime, ds.StudyID = "20260102", "115900", "S1"
        ds.AccessionNumber, ds.ReferringPhysicianName = "A1", "Doctor^Who"
        ds.PositionReferenceIndicator = ""
        ds.SeriesNumber = 2
        ds.BodyPartExamined = "HEAD"
        ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
        ds.Rows = ds.Columns = self.size
        ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, self.bits_stored, self.bits_stored - 1
        ds.PixelRepresentation = int(self.signed)
        if self.padded:
            ds.PixelPaddingValue = PADDING
        return ds

    def _changed(self, ds: Dataset) -> Dataset:
        for keyword in self.without:
            if keyword in ds:
                delattr(ds, keyword)
        for keyword, value in self.changes.items():
            ds[keyword] = element(keyword, value)
        return ds

    def write(self, folder: Path) -> list[Path]:
        """Write the slices, one file each."""
        return write(self.datasets, folder)

    def write_enhanced(self, folder: Path) -> list[Path]:
        """Write the one multi-frame object."""
        return write([self.enhanced], folder)


def _egg(
    across_mm: npt.NDArray[np.float64], up_mm: npt.NDArray[np.float64]
) -> npt.NDArray[np.int_]:
    """HU of brain in a skull, by the distance from the patient's axis and the height."""
    narrowing = np.sqrt(np.clip(1 - (up_mm / HEAD_HEIGHT_MM) ** 2, 0, 1))
    brain_mm = (HEAD_RADIUS_MM - SKULL_MM) * narrowing
    skull = np.where(across_mm < brain_mm + SKULL_MM, BONE_HU, AIR_HU)
    return np.where(across_mm < brain_mm, BRAIN_HU, skull)


def element(keyword: str, value: object) -> DataElement:
    """Make an element of any value, as a careless sender does."""
    return DataElement(keyword, dictionary_VR(keyword), value, validation_mode=IGNORE)


def item(**values: object) -> Dataset:
    """Make an item of a sequence."""
    ds = Dataset()
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    return ds


def _decimals(values: npt.NDArray[np.float64]) -> list[float]:
    """Round to what a decimal string of 16 characters holds."""
    return [round(float(value), 8) for value in values]


def write(datasets: Sequence[Dataset], folder: Path) -> list[Path]:
    """Write datasets as files that are named by number."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{index:03d}.dcm" for index in range(len(datasets))]
    for ds, path in zip(datasets, paths, strict=True):
        ds.save_as(path, enforce_file_format=True)
    return paths


def lying(datasets: list[Dataset], turns: int) -> list[Dataset]:
    """Turn the pictures by quarters, counter-clockwise, and say so in their orientation."""
    for ds in datasets:
        row, column = np.array(ds.ImageOrientationPatient, float).reshape(2, 3)
        step_mm = np.array(ds.PixelSpacing, float)
        first = np.array(ds.ImagePositionPatient, float)
        for _ in range(turns):
            first = first + row * step_mm[1] * (ds.Columns - 1)
            row, column = column, -row
        ds.PixelData = np.ascontiguousarray(np.rot90(ds.pixel_array, turns)).tobytes()
        ds.ImageOrientationPatient = [*row, *column]
        ds.ImagePositionPatient = [round(float(value), 3) for value in first]
    return datasets


def ge_series() -> list[Path]:
    """Find the real GE head series with tilt and uneven steps, or skip the test."""
    default = Path(__file__).parents[3] / "shared" / "data"
    folder = Path(os.environ.get("IHSNET_TEST_DATA", default)) / "ge-head-ct"
    if not folder.is_dir():
        pytest.skip("the GE head series is not here; set IHSNET_TEST_DATA to its parent folder")
    return sorted(folder.glob("*.dcm"))


def recoded(path: Path, transfer_syntax_uid: str) -> Path:
    """Rewrite a file in another transfer syntax, in place; DCMTK for JPEG lossless."""
    process = {JPEGLossless: "+el", JPEGLosslessSV1: "+e1"}.get(transfer_syntax_uid)
    if process:
        subprocess.run(["dcmcjpeg", process, path, path], check=True, capture_output=True)
        return path
    ds = dcmread(path)
    if ds.file_meta.TransferSyntaxUID != transfer_syntax_uid:
        _recode(ds, transfer_syntax_uid)
        ds.save_as(path, enforce_file_format=True)
    return path


def _recode(ds: Dataset, transfer_syntax_uid: str) -> None:
    if transfer_syntax_uid.is_compressed:  # type: ignore[attr-defined]
        sop_instance_uid = ds.SOPInstanceUID
        ds.compress(transfer_syntax_uid, generate_instance_uid=False)
        assert ds.SOPInstanceUID == sop_instance_uid
    else:
        original = copy.deepcopy(ds)
        ds.file_meta.TransferSyntaxUID = transfer_syntax_uid
        ds.PixelData = original.PixelData


@dataclass(frozen=True)
class ThresholdPredictor:
    """A model that calls 50 to 90 HU one type of blood: simple, but it really looks."""

    subtype: str = "EDH"
    card: SimpleNamespace = field(
        default_factory=lambda: SimpleNamespace(
            name="threshold",
            sha256="ab" * 32,
            claims=dict.fromkeys(KEYS, Claim.REPORTED),
            measured=None,
        )
    )

    def predict(
        self, hu: npt.NDArray[np.floating], slice_position_mm: npt.NDArray[np.floating]
    ) -> SimpleNamespace:
        """Label every voxel; the score is 1 with blood, else 0."""
        blood = (hu >= 50) & (hu <= 90)
        labels = np.where(blood, KEYS.index(self.subtype) + 1, 0).astype(np.uint8)
        scores = dict.fromkeys((ANY, *KEYS), 0.0)
        scores[ANY] = scores[self.subtype] = float(blood.any())
        slices = np.zeros((len(labels), len(scores)), np.float32)
        slices[:, -1] = labels.any(axis=(1, 2))
        return SimpleNamespace(
            labels=labels, probabilities=scores, slice_probabilities=slices, alarm=0.2
        )
