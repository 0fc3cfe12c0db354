"""The file of destinations is checked at the start, and each error names file and key."""

from pathlib import Path

import pytest

from schema.errors import SettingsError
from worker.delivery.archive import LABEL_MAP, stored_classes
from worker.delivery.claims import LEASE
from worker.delivery.destinations import (
    LONGEST_S,
    NOWHERE,
    DicomDestination,
    load_destinations,
)
from worker.forms import Forms

GOOD = """
[destinations.PACS]
kind = "dicom"
host = "pacs.example"
port = 104
ae_title = "PACS"
"""


def load(tmp_path: Path, text: str) -> object:
    path = tmp_path / "destinations.toml"
    path.write_text(text)
    return load_destinations(path)


def test_without_a_file_nothing_is_delivered() -> None:
    assert load_destinations(None) is NOWHERE


def test_a_good_file_is_read(tmp_path: Path) -> None:
    (target,) = load(tmp_path, GOOD).destinations  # type: ignore[attr-defined]
    assert isinstance(target, DicomDestination)
    assert (target.name, target.profile, target.confirm) == ("PACS", "full", "find")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("colour = 1", r"destinations.PACS.colour: unknown key"),
        ("timeout_s = 0", r"destinations.PACS.timeout_s: Input should be greater than 0"),
        ("timeout_s = 91", r"destinations.PACS.timeout_s: .* less than or equal to 90"),
        (
            "[destinations.R]\nkind='hl7'\nhost='x'\nport=1\ntimeout_s = 31",
            r"destinations.R.timeout_s: .* less than or equal to 30",
        ),
        ('confirm = "maybe"', r"destinations.PACS.confirm: Input should be 'commitment'"),
        ('tls_ca = "x.pem"', r"destinations.PACS: .*need tls = true"),
        ("[destinations.X]\nkind = 'fax'", r"destinations.X: .*'dicom', 'hl7', 'fhir', 'webhook'"),
        ("[destinations.X]\nkind = 'webhook'", r"destinations.X.url: Field required"),
        ("[surprise]", r"surprise: unknown key"),
        ("[destinations.'a b']\nkind = 'fhir'\nurl = 'http://x'", r"destinations.a b.name"),
        ("=", r"destinations.toml"),
    ],
)
def test_a_bad_one_is_named_with_file_and_key(more: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(
        SettingsError,
        match=f"TRIAGE_DESTINATIONS.*destinations.toml.*{message}|TRIAGE_DESTINATIONS.*{message}",
    ):
        load(tmp_path, f"{GOOD}{more}\n")


def test_a_delivery_ends_before_its_lease_does() -> None:
    assert LEASE.total_seconds() > LONGEST_S


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"TRIAGE_DESTINATIONS.*nowhere\.toml: No such file"):
        load_destinations(tmp_path / "nowhere.toml")


def test_files_are_looked_for_beside_the_file(tmp_path: Path) -> None:
    text = "[destinations.D]\nkind = 'webhook'\nurl = 'https://x'\nsecret_file = 'secret'\n"
    (target,) = load(tmp_path, text).destinations  # type: ignore[attr-defined]
    assert target.secret_file == tmp_path / "secret"


def test_only_levels_that_move_up_have_a_priority_code(tmp_path: Path) -> None:
    text = "[destinations.R]\nkind='hl7'\nhost='x'\nport=1\npriority_codes={'4'='R'}\n"
    with pytest.raises(SettingsError, match="levels 1 to 3 alone"):
        load(tmp_path, text)


def test_an_archive_that_asks_for_label_maps_gets_no_binary_masks(tmp_path: Path) -> None:
    archive = "kind='dicom'\nhost='x'\nport=104\nae_title='PACS'\n"
    text = f"[destinations.P]\n{archive}[destinations.O]\n{archive}segmentation='LABELMAP'\n"
    loaded = load(tmp_path, text)
    binary, labelled = loaded.destinations
    assert loaded.forms == Forms(("BINARY", "LABELMAP"), unlocated_report=True)
    assert [binary.takes("SEG", kind) for kind in ("full", "labelmap")] == [True, False]
    assert [labelled.takes("SEG", kind) for kind in ("full", "labelmap")] == [False, True]
    assert [binary.takes("SR", kind) for kind in ("full", "triage")] == [True, False]
    assert [labelled.takes("SR", kind) for kind in ("full", "triage")] == [False, True]
    assert labelled.takes("SC", "full")
    assert stored_classes(labelled)["SEG"] == LABEL_MAP


def test_masks_are_written_as_label_maps_only_where_one_is_sent(tmp_path: Path) -> None:
    archive = "kind='dicom'\nhost='x'\nport=104\nae_title='PACS'\nsegmentation='LABELMAP'\n"
    text = f"[destinations.P]\n{archive}profile='triage-only'\n"
    assert load(tmp_path, text).forms.segmentations == ("BINARY",)


def test_a_report_without_places_is_written_only_where_one_is_sent(tmp_path: Path) -> None:
    archive = "[destinations.P]\nkind='dicom'\nhost='x'\nport=104\nae_title='PACS'\n"
    assert not load(tmp_path, archive).forms.unlocated_report
    assert load(tmp_path, f"{archive}profile='triage-only'\n").forms.unlocated_report
    without_masks = load(tmp_path, f"{archive}objects=['SR', 'SC']\n")
    assert without_masks.forms.unlocated_report
    (target,) = without_masks.destinations
    assert [target.takes("SR", kind) for kind in ("all", "full", "triage")] == [True, False, True]
    assert target.takes("SC", "full")
    keys_alone = f"{archive}profile='triage-only'\nobjects=['SC']\n"
    assert not load(tmp_path, keys_alone).forms.unlocated_report
