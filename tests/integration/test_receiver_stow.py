"""STOW-RS over HTTP: the same inbox, the same checks, as over DICOM."""

import ssl
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import httpx
import pytest
import trustme
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import (
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    MRImageStorage,
)

from receiver.catalogue.intake import Catalogue
from receiver.processes.listeners import STOW
from receiver.protocol.file_meta import encode_file_meta
from schema.database import Database
from schema.settings import Settings
from schema.tables import Instance
from tests.support.phantoms import FEW_MM, Phantom
from tests.support.receivers import PATIENCE_S, acceptors, write_certificates

pytestmark = pytest.mark.slow  # starts a receiver for each test

TOKEN = "a token of some length"
BOUNDARY = "hospital-boundary"
HEADERS = {
    "Authorization": f"Bearer {TOKEN}",
    "Content-Type": f'multipart/related; type="application/dicom"; boundary={BOUNDARY}',
    "Accept": "application/dicom+json",
}
STUDY = "1.2.3"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """Run a receiver with STOW-RS; give the URL of its studies, and its storage."""
    home = tmp_path_factory.mktemp("stow")
    given = {"stow_token": TOKEN, "stow_port": 0, "stow_max_mb": 2, "max_object_mb": 1}
    with acceptors(home, **given) as ports:
        host, port = ports[STOW]
        yield f"http://{host}:{port}/studies", home / "storage"


def encoded(ds: Dataset, preamble: bytes = bytes(128)) -> bytes:
    file = BytesIO()
    ds.preamble = preamble
    ds.save_as(file, enforce_file_format=True)
    return file.getvalue()


def body(*objects: bytes, end: bytes = b"--") -> bytes:
    head = f"--{BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n".encode()
    parts = b"".join(head + stored + b"\r\n" for stored in objects)
    return parts + f"--{BOUNDARY}".encode() + end + b"\r\n"


def post(url: str, content: object, **headers: str) -> httpx.Response:
    given = {name: value for name, value in (HEADERS | headers).items() if value}
    return httpx.post(url, content=content, headers=given, timeout=PATIENCE_S)


def failures(answer: httpx.Response) -> list[int]:
    found = answer.json().get("00081198", answer.json().get("0008119A"))
    return [item["00081197"]["Value"][0] for item in found["Value"]]


def test_objects_are_on_disk_before_the_answer_is_200(site: tuple[str, Path]) -> None:
    url, storage = site
    datasets = Phantom(FEW_MM, study="1.2.31").datasets
    before = set(storage.rglob("*.dcm"))
    answer = post(url, body(*map(encoded, datasets)))
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/dicom+json"
    listed = {item["00081155"]["Value"][0] for item in answer.json()["00081199"]["Value"]}
    stored = {dcmread(path).SOPInstanceUID for path in set(storage.rglob("*.dcm")) - before}
    assert listed == stored == {ds.SOPInstanceUID for ds in datasets}


def test_a_request_may_name_its_study(site: tuple[str, Path]) -> None:
    content = body(encoded(Phantom((0.0,)).dataset(0)))
    assert post(f"{site[0]}/{STUDY}", content).status_code == 200
    other = post(f"{site[0]}/1.2.4", content)
    assert (other.status_code, failures(other)) == (409, [0xA900])
    assert post(f"{site[0]}/1.2..%2Fx", content).status_code in (400, 404)


def test_good_objects_are_kept_beside_bad_ones(site: tuple[str, Path]) -> None:
    answer = post(site[0], body(encoded(Phantom((0.0,)).dataset(0)), b"MZ no DICOM" * 30))
    assert (answer.status_code, failures(answer)) == (202, [0xC000])


def changed(**values: object) -> bytes:
    ds = Phantom((0.0,)).dataset(0)
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    return encoded(ds)


def with_file_meta(
    sop_class_uid: str = CTImageStorage,
    sop_instance_uid: str = "1.2.3.1.1",
    transfer_syntax_uid: str = ExplicitVRLittleEndian,
) -> bytes:
    content = encoded(Phantom((0.0,)).dataset(0))
    meta_length = int.from_bytes(content[140:144], "little")
    meta = encode_file_meta(sop_class_uid, sop_instance_uid, transfer_syntax_uid)
    return meta + content[144 + meta_length :]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", 0xC000),
        (b"short", 0xC000),
        (encoded(Phantom((0.0,)).dataset(0))[:200], 0xC000),
        (changed(StudyInstanceUID=""), 0xC000),
        (with_file_meta(sop_instance_uid="1.2.3.666"), 0xA900),
        (with_file_meta(sop_class_uid=MRImageStorage), 0x0122),
        (with_file_meta(transfer_syntax_uid=DeflatedExplicitVRLittleEndian), 0xC122),
        (bytes(128) + b"DICM\x02\x00\x00\x00UL\x04\x00\xff\xff\xff\xff" + bytes(99), 0xC000),
        (encoded(Phantom((0.0,)).dataset(0)) + bytes(1_100_000), 0xA700),
    ],
)
def test_an_object_that_c_store_would_refuse_is_refused(
    site: tuple[str, Path], content: bytes, reason: int
) -> None:
    answer = post(site[0], body(content))
    assert (answer.status_code, failures(answer)) == (409, [reason])
    assert not list(site[1].rglob("*.part"))


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Authorization": ""}, 401),
        ({"Authorization": "Bearer wrong"}, 401),
        ({"Content-Type": "application/dicom"}, 415),
        ({"Content-Type": 'multipart/related; type="application/dicom"'}, 400),
        ({"Accept": "application/dicom+xml"}, 406),
    ],
)
def test_a_request_is_refused_by_its_headers(
    site: tuple[str, Path], headers: dict[str, str], status: int
) -> None:
    assert post(site[0], body(), **headers).status_code == status


def test_401_names_the_scheme(site: tuple[str, Path]) -> None:
    assert post(site[0], body(), Authorization="").headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("content", [b"", b"no multipart", body(), b"--other\r\n\r\nx"])
def test_a_body_without_parts_is_a_bad_request(site: tuple[str, Path], content: bytes) -> None:
    assert post(site[0], content).status_code == 400


def test_a_body_beyond_the_limit_is_413_whether_it_says_so_or_not(site: tuple[str, Path]) -> None:
    content = body(bytes(2_100_000))
    assert post(site[0], content).status_code == 413
    assert post(site[0], iter([content[:1_000_000], content[1_000_000:]])).status_code == 413


def test_a_torn_body_leaves_nothing_of_its_last_object(site: tuple[str, Path]) -> None:
    content = body(encoded(Phantom((0.0,)).dataset(0)))[:-2000]
    answer = post(site[0], content)
    assert (answer.status_code, failures(answer)) == (409, [0xC000])
    assert not list(site[1].rglob("*.part"))


def test_no_space_is_503(tmp_path: Path) -> None:
    given = {"stow_token": TOKEN, "stow_port": 0, "min_free_mb": 10**9}
    with acceptors(tmp_path, **given) as ports:
        host, port = ports[STOW]
        assert post(f"http://{host}:{port}/studies", body(b"x")).status_code == 503


def test_a_preamble_that_is_a_program_is_not_kept(site: tuple[str, Path]) -> None:
    ds = Phantom((0.0,), study="1.2.77").dataset(0)
    assert post(site[0], body(encoded(ds, b"MZ" + bytes(126)))).status_code == 200
    assert all(path.read_bytes()[:128] == bytes(128) for path in site[1].rglob("*.dcm"))


def test_what_came_over_http_is_catalogued(settings: Settings, database: Database) -> None:
    with acceptors(settings.home, stow_token=TOKEN, stow_port=0) as ports:
        host, port = ports[STOW]
        post(f"http://{host}:{port}/studies", body(encoded(Phantom((0.0,)).dataset(0))))
    Catalogue(database, settings.storage).take_in()
    with database.reading() as session:
        (instance,) = session.query(Instance).all()
        assert instance.association is not None
        assert instance.association.calling_ae == "STOW-RS"


def test_with_certificates_it_speaks_https(tmp_path: Path) -> None:
    files = write_certificates(tmp_path / "tls", trustme.CA(), "127.0.0.1")
    given = {
        "stow_token": TOKEN,
        "stow_port": 0,
        "tls_certificate": files.certificate,
        "tls_key": files.key,
        "tls_ca": files.authority,
    }
    with acceptors(tmp_path / "home", **given) as ports:
        url = f"https://127.0.0.1:{ports[STOW][1]}/studies"
        content = body(encoded(Phantom((0.0,)).dataset(0)))
        context = ssl.create_default_context(cafile=files.authority)
        with httpx.Client(verify=context, timeout=PATIENCE_S) as client:
            assert client.post(url, content=content, headers=HEADERS).status_code == 200


def test_without_a_token_there_is_no_port(tmp_path: Path) -> None:
    with acceptors(tmp_path) as ports:
        assert STOW not in ports
