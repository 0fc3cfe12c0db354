"""C-STORE over real associations: what is stored is what was sent, and a refusal says why."""

import json
import os
import shutil
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian

from receiver.inbox import FOLDER
from receiver.protocol.presentation_contexts import TRANSFER_SYNTAXES
from schema.dicom import ANALYSED_CLASSES, COMPANION_CLASSES, DimseStatus
from tests.benchmarks.objects import write_objects
from tests.support.deadline import DEADLINE_S
from tests.support.processes import wait_for
from tests.support.receivers import acceptors, dcmtk
from tests.support.scu import CT, Address, Scu, encode, image, new_uid

pytestmark = pytest.mark.slow  # starts a receiver for each test

EVERYTHING = [
    (str(sop_class), str(syntax))
    for sop_class in (*ANALYSED_CLASSES, *COMPANION_CLASSES)
    for syntax in TRANSFER_SYNTAXES
]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def address(home: Path) -> Iterator[Address]:
    with acceptors(home) as ports:
        yield ports["plain"]


def kept(home: Path) -> list[Path]:
    """Give the objects in the inbox."""
    return sorted((home / "storage" / FOLDER).glob("*/*.dcm"))


def dataset_of(path: Path) -> bytes:
    """Give a file's bytes behind its File Meta Information."""
    content = path.read_bytes()
    return content[144 + int.from_bytes(content[140:144], "little") :]


def test_every_class_is_stored_in_every_syntax_byte_for_byte(home: Path, address: Address) -> None:
    sent = {}
    with Scu(address, EVERYTHING) as scu:
        for number, (sop_class, syntax) in enumerate(EVERYTHING):
            uid = new_uid()
            sent[uid] = (syntax, encode(image(uid, sop_class), syntax))
            assert scu.store(sop_class, uid, sent[uid][1], 2 * number + 1) == DimseStatus.SUCCESS
    for path in kept(home):
        meta = dcmread(path, stop_before_pixels=True).file_meta
        syntax, encoded = sent.pop(str(meta.MediaStorageSOPInstanceUID))
        assert (meta.TransferSyntaxUID, dataset_of(path)) == (syntax, encoded)
    assert not sent


def test_the_preamble_is_ours(home: Path, address: Address) -> None:
    with Scu(address) as scu:
        scu.store(CT, "1.2.3", encode(image("1.2.3")))
    assert kept(home)[0].read_bytes()[:132] == bytes(128) + b"DICM"


@pytest.mark.parametrize(
    ("announced", "sent", "status"),
    [
        ("1.2.3", "1.2.4", DimseStatus.DATASET_DOES_NOT_MATCH),
        ("1.2/../../evil", "1.2/../../evil", DimseStatus.CANNOT_UNDERSTAND),
        ("..", "..", DimseStatus.CANNOT_UNDERSTAND),
        ("1." + "2" * 63, "1." + "2" * 63, DimseStatus.CANNOT_UNDERSTAND),
        ("", "", DimseStatus.CANNOT_UNDERSTAND),
    ],
)
def test_an_object_that_is_not_what_it_says_is_refused(
    home: Path, address: Address, announced: str, sent: str, status: DimseStatus
) -> None:
    ds = image("1.2.3")
    ds["SOPInstanceUID"]._value = sent  # past the check of the value
    with Scu(address) as scu:
        assert scu.store(CT, announced, encode(ds)) == status
    assert not kept(home)


def test_a_dataset_of_another_class_is_refused(address: Address) -> None:
    other = image("1.2.3", "1.2.840.10008.5.1.4.1.1.4")
    with Scu(address) as scu:
        assert scu.store(CT, "1.2.3", encode(other)) == DimseStatus.DATASET_DOES_NOT_MATCH


def test_a_class_other_than_the_contexts_is_not_supported(address: Address) -> None:
    mr = "1.2.840.10008.5.1.4.1.1.4"
    with Scu(address) as scu:
        answer = scu.store(mr, "1.2.3", encode(image("1.2.3", mr)))
    assert answer == DimseStatus.SOP_CLASS_NOT_SUPPORTED


@pytest.mark.parametrize("missing", ["SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"])
def test_an_object_without_a_place_is_refused(address: Address, missing: str) -> None:
    ds = image("1.2.3")
    delattr(ds, missing)
    with Scu(address) as scu:
        assert scu.store(CT, "1.2.3", encode(ds)) == DimseStatus.CANNOT_UNDERSTAND


def test_noise_is_refused_and_the_association_goes_on(home: Path, address: Address) -> None:
    with Scu(address) as scu:
        assert scu.store(CT, "1.2.3", os.urandom(70_000)) == DimseStatus.CANNOT_UNDERSTAND
        assert scu.store(CT, "1.2.4", encode(image("1.2.4"))) == DimseStatus.SUCCESS
    assert len(kept(home)) == 1


def test_uids_behind_a_large_private_group_are_found(home: Path, address: Address) -> None:
    ds = image("1.2.3")
    ds.add_new(0x00090010, "LO", "VENDOR")
    ds.add_new(0x00091001, "OB", bytes(200_000))
    with Scu(address) as scu:
        assert scu.store(CT, "1.2.3", encode(ds)) == DimseStatus.SUCCESS


def test_nothing_is_kept_of_an_object_whose_sender_hangs_up(home: Path, address: Address) -> None:
    with Scu(address) as scu:
        scu.store(CT, "1.2.3", encode(image("1.2.3")))
        scu.begin_store(CT, new_uid())
        scu.send_data(bytes(100_000), is_last=False)
    folder = kept(home)[0].parent
    wait_for("end of the association", (folder / "closed").exists)
    assert sorted(path.name for path in folder.iterdir()) == [
        "00000001.dcm", "closed", "sender.json",
    ]  # fmt: skip


def test_below_the_watermark_nothing_is_taken(home: Path) -> None:
    with acceptors(home, min_free_mb=10**9) as ports, Scu(ports["plain"]) as scu:
        assert scu.store(CT, "1.2.3", encode(image("1.2.3"))) == DimseStatus.OUT_OF_RESOURCES
    assert not any((home / "storage" / FOLDER).iterdir())


def test_an_object_larger_than_allowed_leaves_nothing_behind(home: Path) -> None:
    with acceptors(home, max_object_mb=1) as ports, Scu(ports["plain"]) as scu:
        large = encode(image("1.2.3", PixelData=bytes(1_100_000), BitsAllocated=16))
        assert scu.store(CT, "1.2.3", large) == DimseStatus.OUT_OF_RESOURCES
        assert scu.store(CT, "1.2.4", encode(image("1.2.4"))) == DimseStatus.SUCCESS
    assert len(kept(home)) == 1


def test_a_disk_that_fills_refuses_what_it_cannot_keep_and_keeps_what_it_acknowledged(
    home: Path, small_disk: Path
) -> None:
    encoded = {uid: encode(image(uid, PixelData=bytes(60_000), BitsAllocated=16)) for uid in UIDS}
    with acceptors(home, storage_dir=small_disk) as ports, Scu(ports["plain"]) as scu:
        statuses = {uid: scu.store(CT, uid, sent) for uid, sent in encoded.items()}
        held = {path.name: dataset_of(path) for path in small_disk.glob(f"{FOLDER}/*/*.dcm")}
        (small_disk / "ballast").unlink()
        assert scu.store(CT, "1.2.3", encode(image("1.2.3"))) == DimseStatus.SUCCESS
    acknowledged = [
        encoded[uid] for uid, status in statuses.items() if status == DimseStatus.SUCCESS
    ]
    assert set(statuses.values()) == {DimseStatus.SUCCESS, DimseStatus.OUT_OF_RESOURCES}
    assert sorted(held.values()) == sorted(acknowledged)


UIDS = [f"1.2.3.{number}" for number in range(1, 60)]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a disk of 3 MB with a third of it taken."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=3m", "triage-test", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("a small disk can only be mounted by root")
    (folder / "ballast").write_bytes(bytes(1_000_000))
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_storescu_of_dcmtk_sends_a_series(home: Path, address: Address, tmp_path: Path) -> None:
    paths = write_objects(tmp_path / "series", 5)
    host, port = address
    command = [dcmtk("storescu"), "-aec", "IHSNET", host, str(port), *map(str, paths)]
    subprocess.run(command, check=True)
    assert sorted(map(dataset_of, kept(home))) == sorted(map(dataset_of, paths))


def test_orthanc_sends_a_series(home: Path, address: Address, tmp_path: Path) -> None:
    paths = write_objects(tmp_path / "series", 5)
    with orthanc(tmp_path / "orthanc", address) as url:
        ids = [post(f"{url}/instances", path.read_bytes())["ID"] for path in paths]
        post(f"{url}/modalities/ihsnet/store", json.dumps(ids).encode())
    pixels = [dcmread(path).PixelData for path in kept(home)]
    assert sorted(pixels) == sorted(dcmread(path).PixelData for path in paths)
    assert dcmread(kept(home)[0]).file_meta.TransferSyntaxUID == ExplicitVRLittleEndian


def post(url: str, body: bytes) -> dict[str, str]:
    with urllib.request.urlopen(url, body, timeout=DEADLINE_S) as answer:
        result: dict[str, str] = json.load(answer)
        return result


@contextmanager
def orthanc(folder: Path, address: Address) -> Iterator[str]:
    """Run an Orthanc that knows our address; give the URL of its REST interface."""
    program = shutil.which("Orthanc") or pytest.skip("Orthanc is not installed")
    folder.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    configuration = {
        "StorageDirectory": str(folder), "IndexDirectory": str(folder), "HttpPort": port,
        "DicomServerEnabled": False, "DicomModalities": {"ihsnet": ["IHSNET", *address]},
    }  # fmt: skip
    (folder / "orthanc.json").write_text(json.dumps(configuration), encoding="utf-8")
    process = subprocess.Popen(
        [program, str(folder / "orthanc.json")], stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT
    )
    try:
        wait_for("Orthanc", lambda: answers(port))
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
