import re
from pathlib import Path

import pytest

from schema.errors import SettingsError
from schema.settings import PREFIX, Settings, read_settings

EXAMPLE = Path(__file__).parents[2] / "deploy" / "example.env"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_the_default_is_embedded_and_lies_in_var() -> None:
    settings = read_settings()
    assert settings.embedded
    assert settings.database.endswith("/var/triage.sqlite3")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TRIAGE_DICOM_PORT", "70000"),
        ("TRIAGE_DICOM_PORT", "dicom"),
        ("TRIAGE_DEVICE", "gpu"),
        ("TRIAGE_SERIES_QUIET_S", "-1"),
        ("TRIAGE_SERIES_QUIET_S", "nan"),
        ("TRIAGE_CALLERS", "CT1"),
        ("TRIAGE_CALLERS", "CT1@everywhere"),
        ("TRIAGE_AE_TITLE", "A TITLE THAT IS TOO LONG"),
        ("TRIAGE_AE_TITLE", "BACK\\SLASH"),
        ("TRIAGE_AE_TITLE", "   "),
        ("TRIAGE_LOG_LEVEL", "LOUD"),
        ("TRIAGE_DESTINATIONS", "pacs.toml"),
    ],
)
def test_a_bad_value_is_refused_in_one_line_that_names_it(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=name) as refused:
        read_settings()
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("title", ["IHSNET-1", "ct.room_2", "A"])
def test_an_ae_title_may_hold_what_its_value_representation_allows(
    monkeypatch: pytest.MonkeyPatch, title: str
) -> None:
    monkeypatch.setenv("TRIAGE_AE_TITLE", title)
    assert read_settings().ae_title == title


def test_an_unknown_name_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIAGE_PORT", "1")
    with pytest.raises(SettingsError, match="TRIAGE_PORT: no such setting"):
        read_settings()


def test_an_unknown_name_in_the_env_file_is_refused() -> None:
    Path(".env").write_text("TRIAGE_DICM_PORT=1\n")
    with pytest.raises(SettingsError, match="TRIAGE_DICM_PORT"):
        read_settings()


def test_the_env_file_is_read() -> None:
    Path(".env").write_text("TRIAGE_DICOM_PORT=104\n")
    assert read_settings().dicom_port == 104


def test_every_setting_is_in_the_example_with_its_default() -> None:
    written = dict(re.findall(r"^#(TRIAGE_\w+)=(.*)$", EXAMPLE.read_text(), re.MULTILINE))
    assert set(written) == {PREFIX + name.upper() for name in Settings.model_fields}
    for name, field in Settings.model_fields.items():
        if field.default is not None and not isinstance(field.default, Path):
            assert type(field.default)(written[PREFIX + name.upper()]) == field.default, name


def test_a_long_home_still_has_a_socket_path_that_unix_takes(tmp_path: Path) -> None:
    settings = Settings(_env_file=None, home=tmp_path / ("long" * 30))
    assert len(str(settings.broker_socket)) <= 100


def test_nobody_may_send_to_a_shared_database_unless_named() -> None:
    assert Settings(_env_file=None, database_url="postgresql+psycopg://db").allowed_callers == ()


def test_loopback_may_send_to_the_embedded_default() -> None:
    (v4, v6) = Settings(_env_file=None).allowed_callers
    assert v4.matches("ANY", "127.0.0.1")
    assert not v4.matches("ANY", "10.0.0.1")
    assert v6.matches("ANY", "::1")
