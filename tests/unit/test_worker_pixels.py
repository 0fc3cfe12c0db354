"""Stored values to Hounsfield units, and pixels that are refused."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from pydicom.uid import (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from schema.errors import PixelError
from tests.support.phantoms import (
    AIR_HU,
    BLOOD_HU,
    FEW_MM,
    PADDING,
    WATER_HU,
    Phantom,
    recoded,
    write,
)
from tests.support.wording import is_plain
from worker.slices import read_series

MIDDLE = 32  # of a 64 x 64 frame: within the sphere at position 0, the second slice


def hu_of(phantom: Phantom, folder: Path) -> np.ndarray:
    return read_series(phantom.write(folder)).volume.hu


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("bits_stored", [12, 16])
def test_stored_values_become_hounsfield_units(
    signed: bool, bits_stored: int, tmp_path: Path
) -> None:
    hu = hu_of(Phantom(FEW_MM, signed=signed, bits_stored=bits_stored), tmp_path)
    assert (hu[1, MIDDLE, MIDDLE], hu[1, MIDDLE, 5], hu[1, 0, 0]) == (BLOOD_HU, WATER_HU, AIR_HU)


def test_every_slice_has_its_own_rescale(tmp_path: Path) -> None:
    phantom = Phantom(FEW_MM, rescale=lambda index: (0.5 + index / 2, -1024.0 - 10 * index))
    expected = np.stack([phantom.hu(index) for index in range(len(FEW_MM))])
    assert np.abs(hu_of(phantom, tmp_path) - expected).max() <= 1  # half a step of 2 HU


def test_bits_above_the_stored_ones_are_not_the_patients(tmp_path: Path) -> None:
    datasets = Phantom(FEW_MM, bits_stored=12, signed=False).datasets
    for ds in datasets:
        overlay = np.frombuffer(ds.PixelData, "<u2") | 0xF000
        ds.PixelData = overlay.astype("<u2").tobytes()
    assert read_series(write(datasets, tmp_path)).volume.hu[1, MIDDLE, MIDDLE] == BLOOD_HU


def test_twelve_signed_bits_keep_their_sign(tmp_path: Path) -> None:
    phantom = Phantom(FEW_MM, bits_stored=12, rescale=lambda index: (1.0, 0.0))
    datasets = phantom.datasets
    for ds in datasets:
        cut = np.frombuffer(ds.PixelData, "<i2") & 0x0FFF  # as some scanners write them
        ds.PixelData = cut.astype("<i2").tobytes()
    assert read_series(write(datasets, tmp_path)).volume.hu[1, 0, 0] == AIR_HU


def test_padding_is_air_whatever_its_rescale(tmp_path: Path) -> None:
    phantom = Phantom(FEW_MM, padded=True, rescale=lambda index: (1.0, 2000.0))
    assert hu_of(phantom, tmp_path)[1, 0, 0] == -1024


def test_padding_may_be_a_range(tmp_path: Path) -> None:
    limits = {"PixelPaddingRangeLimit": PADDING + 10}
    datasets = Phantom(FEW_MM, padded=True, changes=limits).datasets
    for ds in datasets:
        values = np.frombuffer(ds.PixelData, "<i2").copy()
        values[values == PADDING] += 7
        ds.PixelData = values.tobytes()
    assert read_series(write(datasets, tmp_path)).volume.hu[1, 0, 0] == -1024


def test_padding_with_the_wrong_value_representation_is_padding(tmp_path: Path) -> None:
    phantom = Phantom(FEW_MM, padded=True, rescale=lambda index: (1.0, 2000.0))
    paths = phantom.write(tmp_path)
    for path in paths:
        data = path.read_bytes()
        signed = b"\x28\x00\x20\x01SS"
        assert data.count(signed) == 1
        path.write_bytes(data.replace(signed, b"\x28\x00\x20\x01US"))
    assert read_series(paths).volume.hu[1, 0, 0] == -1024


def test_values_beyond_the_scale_are_clipped(tmp_path: Path) -> None:
    changes = {"RescaleSlope": 100, "RescaleIntercept": -100_000}
    hu = hu_of(Phantom(FEW_MM, changes=changes), tmp_path)
    assert (hu.min(), hu.max()) == (-1024, 3071)


@pytest.mark.parametrize(
    "syntax",
    [
        ImplicitVRLittleEndian,
        ExplicitVRLittleEndian,
        JPEGLossless,
        JPEGLosslessSV1,
        JPEGLSLossless,
        JPEG2000Lossless,
        RLELossless,
    ],
    ids=lambda syntax: syntax.keyword,
)
@pytest.mark.parametrize("signed", [True, False], ids=["signed", "unsigned"])
def test_every_transfer_syntax_gives_the_same_values(
    syntax: str, signed: bool, tmp_path: Path
) -> None:
    if syntax in (JPEGLossless, JPEGLosslessSV1) and not shutil.which("dcmcjpeg"):
        pytest.skip("no encoder for JPEG lossless: install DCMTK's dcmcjpeg")
    intercept = 0.0 if signed else -1024.0
    phantom = Phantom(FEW_MM, signed=signed, rescale=lambda index: (1.0, intercept))
    plain = hu_of(phantom, tmp_path / "plain")
    paths = [recoded(path, syntax) for path in phantom.write(tmp_path / "recoded")]
    assert np.array_equal(read_series(paths).volume.hu, plain)


@pytest.mark.parametrize(
    ("keyword", "value", "message"),
    [
        ("PhotometricInterpretation", "MONOCHROME1", "MONOCHROME1"),
        ("PhotometricInterpretation", "RGB", "RGB"),
        ("SamplesPerPixel", 3, "no CT image in Hounsfield units"),
        ("RescaleType", "GRAY", "Rescale Type is 'GRAY', not HU"),
        ("RescaleType", "Z_EFF", "Rescale Type is 'Z_EFF', not HU"),
        ("ImageType", ["DERIVED", "PRIMARY", "AXIAL", "MAT_SPECIFIC"], "multi-energy map"),
        ("RescaleSlope", "nan", "RescaleSlope is"),
        ("RescaleSlope", "1e400", "RescaleSlope is"),
        ("RescaleSlope", "0", "Rescale Slope 0"),
        ("RescaleIntercept", "inf", "RescaleIntercept is"),
        ("BitsAllocated", 32, "BitsAllocated is 32"),
        ("HighBit", 11, "HighBit is 11"),
        ("NumberOfFrames", 2, "2 frames in a single-frame object"),
        ("NumberOfFrames", 2**31 - 1, "NumberOfFrames is 2147483647"),
        ("Rows", 63, "need 8064"),
    ],
)
def test_pixels_that_are_no_hounsfield_units_are_refused(
    keyword: str, value: object, message: str, tmp_path: Path
) -> None:
    phantom = Phantom(FEW_MM, changes={keyword: value})
    with pytest.raises(PixelError, match=message):
        read_series(phantom.write(tmp_path))


@pytest.mark.parametrize("keyword", ["RescaleSlope", "RescaleIntercept", "Rows", "PixelData"])
def test_a_missing_pixel_attribute_is_refused(keyword: str, tmp_path: Path) -> None:
    with pytest.raises(PixelError, match=r"1\.2\.3\.1\.1"):
        read_series(Phantom(FEW_MM, without=[keyword]).write(tmp_path))


def test_a_missing_rescale_type_means_hounsfield_units(tmp_path: Path) -> None:
    hu = hu_of(Phantom(FEW_MM, without=["RescaleType"]), tmp_path)
    assert hu[1, MIDDLE, MIDDLE] == BLOOD_HU


@pytest.mark.parametrize("written", ["US", "hu", "Hounsfield", ""])
def test_a_rescale_type_that_allows_hounsfield_units_is_read(written: str, tmp_path: Path) -> None:
    hu = hu_of(Phantom(FEW_MM, changes={"RescaleType": written}), tmp_path)
    assert hu[1, MIDDLE, MIDDLE] == BLOOD_HU


def test_truncated_pixels_are_refused(tmp_path: Path) -> None:
    paths = Phantom(FEW_MM).write(tmp_path)
    paths[2].write_bytes(paths[2].read_bytes()[:-100])
    with pytest.raises(PixelError, match=r"1\.2\.3\.1\.3: Pixel Data has 8092 bytes"):
        read_series(paths)


@pytest.mark.filterwarnings("ignore:End of file reached")
@pytest.mark.parametrize("syntax", [JPEGLSLossless, JPEG2000Lossless, RLELossless])
def test_truncated_compressed_pixels_are_refused(syntax: str, tmp_path: Path) -> None:
    paths = [recoded(path, syntax) for path in Phantom(FEW_MM).write(tmp_path)]
    data = paths[2].read_bytes()
    paths[2].write_bytes(data[: len(data) - 200])
    with pytest.raises(PixelError, match=r"1\.2\.3\.1\.3"):
        read_series(paths)


@pytest.mark.parametrize("syntax", [JPEGLSLossless, JPEG2000Lossless, RLELossless])
def test_compressed_pixels_of_another_size_are_refused(syntax: str, tmp_path: Path) -> None:
    datasets = Phantom(FEW_MM).datasets
    for ds in datasets:
        ds.compress(syntax, generate_instance_uid=False)
        ds.Rows = 128
    with pytest.raises(PixelError, match=r"1\.2\.3\.1\.1"):
        read_series(write(datasets, tmp_path))


def test_a_huge_declared_size_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    datasets = Phantom(FEW_MM).datasets
    for ds in datasets:
        ds.compress(RLELossless, generate_instance_uid=False)
        ds.Rows = ds.Columns = 30000
    paths = write(datasets, tmp_path)
    with pytest.raises(PixelError, match="Rows is 30000"):
        read_series(paths)


def test_a_huge_number_of_voxels_is_refused(tmp_path: Path) -> None:
    changes = {"Rows": 4096, "Columns": 4096, "NumberOfFrames": 1999}
    with pytest.raises(PixelError, match="voxels, the limit is"):
        read_series(Phantom(FEW_MM, changes=changes).write(tmp_path))


def test_a_damaged_rle_frame_does_not_end_the_worker(tmp_path: Path) -> None:
    paths = [recoded(path, RLELossless) for path in Phantom(FEW_MM).write(tmp_path)]
    data = bytearray(paths[0].read_bytes())
    start = data.rindex(b"\xfe\xff\x00\xe0") + 8 + 64  # the first run, behind the RLE header
    data[start] = 127  # a run of 128 values where fewer are left
    paths[0].write_bytes(data)
    with pytest.raises(PixelError, match=r"1\.2\.3\.1\.1: .* cannot be decoded") as refused:
        read_series(paths)
    assert is_plain(str(refused.value))
