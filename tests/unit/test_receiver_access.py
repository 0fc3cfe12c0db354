import pytest

from receiver.access.callers import AccessRules, AssociationRequest, refuse
from receiver.protocol.rejection import CALLED_AE, CALLING_AE, CERTIFICATE
from schema.callers import parse_callers

RULES = AccessRules(
    ("IHSNET", "IHSNET_STAT"),
    parse_callers("CT1@10.1.2.0/24,CT2@10.1.3.4/32,*@10.9.0.0/16"),
    {"CT2": "ct2.radiology.example"},
)
CT2_NAMES = frozenset({"ct2.radiology.example", "scanner"})


@pytest.mark.parametrize(
    ("asked", "refusal"),
    [
        (AssociationRequest("CT1", "IHSNET", "10.1.2.3"), None),
        (AssociationRequest("CT1", "IHSNET_STAT", "10.1.2.3"), None),
        (AssociationRequest("CT1", "IHSNET", "::ffff:10.1.2.3"), None),
        (AssociationRequest("CT1", "IHSNET", "10.1.3.3"), CALLING_AE),
        (AssociationRequest("ct1", "IHSNET", "10.1.2.3"), CALLING_AE),
        (AssociationRequest("ANY", "IHSNET", "10.9.2.3"), None),
        (AssociationRequest("ANY", "IHSNET", "fe80::1"), CALLING_AE),
        (AssociationRequest("CT1", "OTHER", "10.1.2.3"), CALLED_AE),
        (AssociationRequest("NOBODY", "OTHER", "10.1.2.3"), CALLING_AE),
        (AssociationRequest("CT2", "IHSNET", "10.1.3.4"), CERTIFICATE),
        (
            AssociationRequest("CT2", "IHSNET", "10.1.3.4", frozenset({"ct1.radiology.example"})),
            CERTIFICATE,
        ),
        (AssociationRequest("CT2", "IHSNET", "10.1.3.4", CT2_NAMES), None),
        (AssociationRequest("CT2", "IHSNET", "10.9.3.4"), CERTIFICATE),
    ],
)
def test_a_caller_gets_in_by_title_network_and_certificate(
    asked: AssociationRequest, refusal: object
) -> None:
    assert refuse(asked, RULES) == refusal


def test_an_empty_list_lets_nobody_in() -> None:
    assert (
        refuse(AssociationRequest("CT1", "IHSNET", "127.0.0.1"), AccessRules(("IHSNET",), (), {}))
        == CALLING_AE
    )
