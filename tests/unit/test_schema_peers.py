import pytest

from schema.errors import SettingsError
from schema.peers import PeerAddress, parse_addresses, parse_certificates


def test_an_address_has_a_host_a_port_and_perhaps_tls() -> None:
    assert parse_addresses("CT1=10.1.2.3:104, CT 2=[fd00::1]:2762/tls") == (
        PeerAddress("CT1", "10.1.2.3", 104),
        PeerAddress("CT 2", "fd00::1", 2762, tls=True),
    )


@pytest.mark.parametrize("text", ["CT1", "CT1=host", "CT1=host:0", "=h:1", "A=h:1,A=h:2"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(SettingsError):
        parse_addresses(text)


def test_a_certificate_name_belongs_to_a_title() -> None:
    (certificate,) = parse_certificates("CT1=ct1.example")
    assert (certificate.ae_title, certificate.name) == ("CT1", "ct1.example")
