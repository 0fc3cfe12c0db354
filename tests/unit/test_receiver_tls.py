import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from receiver.access.tls import TlsFiles, acceptor_context, expires_at, expiry_warning
from schema.errors import SettingsError
from schema.settings import Settings

ENDS = datetime(2027, 3, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> TlsFiles:
    folder = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    issued = authority.issue_cert("receiver.example", not_after=ENDS)
    files = TlsFiles(folder / "own.pem", folder / "own.key", folder / "ca.pem")
    issued.cert_chain_pems[0].write_to_path(files.certificate)
    issued.private_key_pem.write_to_path(files.key)
    authority.cert_pem.write_to_path(files.authority)
    return files


def test_the_context_wants_tls_1_2_a_certificate_and_forward_secrecy(files: TlsFiles) -> None:
    context = acceptor_context(files)
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert context.verify_mode == ssl.CERT_REQUIRED
    for cipher in context.get_ciphers():
        assert cipher["aead"]
        assert cipher["protocol"] == "TLSv1.3" or "ECDHE" in cipher["name"]


def test_the_end_of_a_certificate_is_read(files: TlsFiles) -> None:
    assert expires_at(files.certificate) == ENDS


@pytest.mark.parametrize(
    ("days", "warning"), [(31, None), (29, "in 29 days"), (0, "ended on"), (-3, "ended on")]
)
def test_thirty_days_before_its_end_a_certificate_is_warned_of(
    days: int, warning: str | None
) -> None:
    said = expiry_warning(ENDS, ENDS - timedelta(days=days))
    assert said is None if warning is None else warning in (said or "")


def test_a_file_that_is_no_certificate_stops_the_program_with_a_line(tmp_path: Path) -> None:
    nonsense = tmp_path / "nonsense.pem"
    nonsense.write_text("nonsense")
    with pytest.raises(SettingsError, match="TLS"):
        acceptor_context(TlsFiles(nonsense, nonsense, nonsense))
    with pytest.raises(SettingsError, match="TRIAGE_TLS_CERTIFICATE"):
        expires_at(nonsense)


@pytest.mark.parametrize(
    "given", [{"tls_port": 2762}, {"tls_key": "key.pem"}, {"dicom_plain": False}]
)
def test_tls_that_is_half_configured_is_refused(given: dict[str, object]) -> None:
    with pytest.raises(SettingsError, match="TRIAGE_TLS_CA"):
        TlsFiles.of(Settings(_env_file=None, **given))


def test_without_tls_settings_there_is_no_tls() -> None:
    assert TlsFiles.of(Settings(_env_file=None)) is None
