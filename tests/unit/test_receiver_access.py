import pytest

from receiver.access.access import CALLED_AE, CALLING_AE, CERTIFICATE, AccessRules, Knock, refuse
from schema.callers import parse_callers

RULES = AccessRules(
    "IHSNET",
    parse_callers("CT1@10.1.2.0/24,CT2@10.1.3.4/32,*@10.9.0.0/16"),
    {"CT2": "ct2.radiology.example"},
)
CT2_NAMES = frozenset({"ct2.radiology.example", "scanner"})


@pytest.mark.parametrize(
    ("knock", "refusal"),
    [
        (Knock("CT1", "IHSNET", "10.1.2.3"), None),
        (Knock("CT1", "IHSNET", "::ffff:10.1.2.3"), None),
        (Knock("CT1", "IHSNET", "10.1.3.3"), CALLING_AE),
        (Knock("ct1", "IHSNET", "10.1.2.3"), CALLING_AE),
        (Knock("ANY", "IHSNET", "10.9.2.3"), None),
        (Knock("ANY", "IHSNET", "fe80::1"), CALLING_AE),
        (Knock("CT1", "OTHER", "10.1.2.3"), CALLED_AE),
        (Knock("NOBODY", "OTHER", "10.1.2.3"), CALLING_AE),
        (Knock("CT2", "IHSNET", "10.1.3.4"), CERTIFICATE),
        (Knock("CT2", "IHSNET", "10.1.3.4", frozenset({"ct1.radiology.example"})), CERTIFICATE),
        (Knock("CT2", "IHSNET", "10.1.3.4", CT2_NAMES), None),
        (Knock("CT2", "IHSNET", "10.9.3.4"), CERTIFICATE),
    ],
)
def test_a_caller_gets_in_by_title_network_and_certificate(knock: Knock, refusal: object) -> None:
    assert refuse(knock, RULES) == refusal


def test_an_empty_list_lets_nobody_in() -> None:
    assert refuse(Knock("CT1", "IHSNET", "127.0.0.1"), AccessRules("IHSNET", (), {})) == CALLING_AE
