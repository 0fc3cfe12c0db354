"""CT images for the benchmarks: 0.5 MB each, a study of their own for every batch."""

from pathlib import Path
from typing import Final

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

SIDE: Final = 512


def write_objects(folder: Path, count: int) -> list[Path]:
    """Write one series of `count` slices; every call makes a study that nobody has seen."""
    folder.mkdir(parents=True)
    study_uid, series_uid = generate_uid(), generate_uid()
    paths = [folder / f"{number:04d}.dcm" for number in range(count)]
    for number, path in enumerate(paths):
        ds = ct_image(study_uid, series_uid, number)
        ds.save_as(path, enforce_file_format=True)
    return paths


def ct_image(study_uid: str, series_uid: str, number: int, side: int = SIDE) -> Dataset:
    """Make a CT image with the elements that a scanner sends, and pixels that tell it apart."""
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = CTImageStorage, generate_uid()
    ds.StudyInstanceUID, ds.SeriesInstanceUID = study_uid, series_uid
    ds.PatientName, ds.PatientID, ds.AccessionNumber = "Bench^Mark", "B1", "A1"
    ds.PatientBirthDate = ds.PatientSex = ds.ReferringPhysicianName = ""
    ds.StudyDate, ds.StudyTime, ds.StudyID = "20260101", "120000", "1"
    ds.Modality, ds.SeriesDescription, ds.ConvolutionKernel = "CT", "Head 2.5", "H31s"
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.SeriesNumber, ds.InstanceNumber = 1, number + 1
    ds.FrameOfReferenceUID = generate_uid(entropy_srcs=[series_uid])
    ds.ImagePositionPatient = [0, 0, 2.5 * number]
    ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    ds.PixelSpacing, ds.SliceThickness = [0.5, 0.5], 2.5
    ds.Rows = ds.Columns = side
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.RescaleSlope, ds.RescaleIntercept = 1, -1024
    ds.PixelData = number.to_bytes(2, "little") * (side * side)
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return ds
