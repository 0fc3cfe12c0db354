"""The demonstration ends with one line where an image of its samples was not taken."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
from pynetdicom import AE, evt
from pynetdicom.transport import ThreadedAssociationServer

from schema.dicom import CT_IMAGE_STORAGE
from schema.settings import Settings
from tests.support.processes import free_port

DEMO = Path(__file__).parents[2] / "deploy" / "demo.py"
HEALTHY = DEMO.with_name("samples") / "healthy"
IMAGES = len(list(HEALTHY.glob("*.dcm")))


@pytest.fixture
def demo() -> ModuleType:
    spec = importlib.util.spec_from_file_location("demo", DEMO)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def listen(port: int, third: str) -> ThreadedAssociationServer:
    """Take all but the third object, which is refused, or aborts the association."""
    seen: list[str] = []

    def store(event: evt.Event) -> int:
        seen.append(event.request.AffectedSOPInstanceUID)
        if len(seen) == 3 and third == "aborts":
            event.assoc.abort()
        return 0xA700 if len(seen) == 3 and third == "refused" else 0x0000

    ae = AE("IHSNET")
    ae.require_called_aet = True
    ae.add_supported_context(CT_IMAGE_STORAGE, ["1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.1"])
    server = ae.start_server(
        ("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_C_STORE, store)]
    )
    assert isinstance(server, ThreadedAssociationServer)
    return server


@pytest.mark.parametrize(
    ("third", "said"),
    [
        ("taken", None),
        ("refused", f"healthy: {IMAGES - 1} of {IMAGES} images were taken"),
        pytest.param(
            "aborts",
            f"healthy: 2 of {IMAGES} images were taken",
            marks=pytest.mark.slow,  # waits for the DIMSE timeout
        ),
    ],
)
def test_each_image_is_seen_to_be_taken(
    demo: ModuleType, tmp_path: Path, third: str, said: str | None
) -> None:
    port = free_port()
    settings = Settings(_env_file=None, home=tmp_path, dicom_port=port)
    server = listen(port, third)
    try:
        if said is None:
            demo.send(settings, HEALTHY)
        else:
            with pytest.raises(SystemExit, match=said):
                demo.send(settings, HEALTHY)
    finally:
        server.shutdown()


def test_a_receiver_that_rejects_the_sender_is_one_line_too(
    demo: ModuleType, tmp_path: Path
) -> None:
    port = free_port()
    settings = Settings(_env_file=None, home=tmp_path, dicom_port=port, ae_title="OTHER")
    server = listen(port, "taken")
    try:
        with pytest.raises(SystemExit, match=f"0 of {IMAGES} images were taken; see .*demo.log"):
            demo.send(settings, HEALTHY)
    finally:
        server.shutdown()
