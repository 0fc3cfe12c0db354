"""The slices of the synthetic head as CT images of a study of its own."""

import uuid
from collections.abc import Iterator
from datetime import datetime
from typing import Final

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID

from receiver.canary.head import PIXEL_MM, POSITIONS_MM, SIZE, STEP_MM, draw
from schema.dicom import CT_IMAGE_STORAGE, EXPLICIT_VR_LITTLE_ENDIAN

NAME: Final = "CANARY^SYNTHETIC"  # in the database and the objects, if anybody should ever see them
PATIENT_ID: Final = "CANARY"
ORIENTATION: Final = [1, 0, 0, 0, 1, 0]
INTERCEPT_HU: Final = -1024


def new_uid() -> str:
    """Make a UID that nobody can guess (PS3.5 annex B.2)."""
    return f"2.25.{uuid.uuid4().int}"


def make_objects(study_instance_uid: str, now: datetime) -> Iterator[Dataset]:
    """Make the slices, from the lowest to the highest."""
    series_uid, frame_uid = new_uid(), new_uid()
    for number, position_mm in enumerate(POSITIONS_MM, 1):
        ds = _common(study_instance_uid, series_uid, now)
        ds.FrameOfReferenceUID, ds.InstanceNumber = frame_uid, number
        ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID = UID(new_uid())
        corner_mm = -(SIZE - 1) / 2 * PIXEL_MM
        ds.ImagePositionPatient = [round(corner_mm, 6), round(corner_mm, 6), position_mm]
        ds.PixelData = (draw(position_mm) - INTERCEPT_HU).astype("<i2").tobytes()
        yield ds


def _common(study_instance_uid: str, series_uid: str, now: datetime) -> Dataset:
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = UID(EXPLICIT_VR_LITTLE_ENDIAN)
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = UID(CT_IMAGE_STORAGE)
    ds.StudyInstanceUID, ds.SeriesInstanceUID = study_instance_uid, series_uid
    ds.PatientName, ds.PatientID, ds.PatientBirthDate, ds.PatientSex = NAME, PATIENT_ID, "", "O"
    ds.StudyDate, ds.StudyTime = now.strftime("%Y%m%d"), now.strftime("%H%M%S")
    ds.StudyID = ds.AccessionNumber = ds.ReferringPhysicianName = ""
    ds.StudyDescription, ds.SeriesDescription = "Synthetic head", "Head 5.0"
    ds.Modality, ds.BodyPartExamined, ds.SeriesNumber = "CT", "HEAD", 1
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.PositionReferenceIndicator, ds.ConvolutionKernel, ds.KVP = "", "H31s", 120
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows = ds.Columns = SIZE
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 1
    ds.PixelSpacing, ds.SliceThickness = [PIXEL_MM, PIXEL_MM], STEP_MM
    ds.ImageOrientationPatient = ORIENTATION
    ds.RescaleSlope, ds.RescaleIntercept, ds.RescaleType = 1, INTERCEPT_HU, "HU"
    return ds
