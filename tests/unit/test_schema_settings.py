import re
from pathlib import Path

import pytest

from schema.bare_environment import PREFIX
from schema.database import open_database, upgrade
from schema.errors import SettingsError
from schema.secret_files import FILE_NAMES, SECRETS
from schema.settings import Settings, read_settings

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
        ("TRIAGE_MORE_AE_TITLES", "IHSNET_STAT,BACK\\SLASH"),
        ("TRIAGE_LOG_LEVEL", "LOUD"),
    ],
)
def test_a_bad_value_is_refused_in_one_line_that_names_it(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=name) as refused:
        read_settings()
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("TRIAGE_DICOM_PORT", "TRIAGE_TLS_PORT"),
        ("TRIAGE_DICOM_PORT", "TRIAGE_ANNOUNCEMENT_PORT"),
        ("TRIAGE_TLS_PORT", "TRIAGE_STOW_PORT"),
    ],
)
def test_one_port_for_two_purposes_is_refused_by_both_names(
    monkeypatch: pytest.MonkeyPatch, first: str, second: str
) -> None:
    monkeypatch.setenv("TRIAGE_STOW_TOKEN", "sixteen letters!")
    monkeypatch.setenv(first, "4711")
    monkeypatch.setenv(second, "4711")
    with pytest.raises(SettingsError, match=f"{first} and {second} are both 4711"):
        read_settings()
    monkeypatch.setenv(first, "0")
    monkeypatch.setenv(second, "0")
    assert read_settings().dicom_host == "127.0.0.1"


def test_the_port_of_what_is_not_served_may_be_anothers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIAGE_STOW_PORT", "11112")
    assert read_settings().stow_port == read_settings().dicom_port


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
    assert set(written) == FILE_NAMES | {PREFIX + name.upper() for name in Settings.model_fields}
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


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TRIAGE_PORT", "tcp://10.0.0.1:11112"),
        ("TRIAGE_PORT_11112_TCP", "tcp://10.0.0.1:11112"),
        ("TRIAGE_PORT_11112_TCP_ADDR", "10.0.0.1"),
        ("TRIAGE_SERVICE_HOST", "10.0.0.1"),
        ("TRIAGE_SERVICE_PORT_DICOM", "11112"),
        ("TRIAGE_RECEIVER_SERVICE_PORT", "11112"),
        ("TRIAGE_RECEIVER_PORT", "tcp://10.0.0.1:11112"),
    ],
)
def test_what_kubernetes_injects_for_a_service_called_triage_is_no_setting(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    read_settings()


def test_an_injected_name_that_is_a_setting_is_told_from_a_wrong_value(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TRIAGE_WORKLIST_PORT", "tcp://10.0.0.1:8080")
    with pytest.raises(SettingsError, match="enableServiceLinks: false"):
        read_settings()


def test_a_port_that_a_person_set_is_no_injected_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIAGE_PORT", "11112")
    with pytest.raises(SettingsError, match="TRIAGE_PORT: no such setting"):
        read_settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TRIAGE_BROKER_URL", "redis://:geh/eim@broker:6379/0"),
        ("TRIAGE_BROKER_URL", "redis://:geh#eim@broker:6379/0"),
        ("TRIAGE_BROKER_URL", "redis://:geh?eim@broker:6379/0"),
        ("TRIAGE_BROKER_URL", "redis://geheim:12/34@broker:6379/0"),
        ("TRIAGE_BROKER_URL", "redis://geheim:broker"),
        ("TRIAGE_BROKER_URL", "redis://"),
        ("TRIAGE_DATABASE_URL", "postgresql+psycopg://triage:pass@geheim@db/triage"),
    ],
)
def test_a_url_whose_password_hides_its_host_is_refused_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=r"%2F %23 %3F %40 %25") as raised:
        read_settings()
    assert name in str(raised.value)
    assert not any(part in str(raised.value) for part in ("geh", "eim"))


@pytest.mark.parametrize(
    "url",
    ["redis://broker", "rediss://:geh%2Feim@broker:6380/1", "redis+socket:///run/redis.sock"],
)
def test_a_broker_that_can_be_reached_is_taken(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("TRIAGE_BROKER_URL", url)
    assert read_settings().broker_url == url


@pytest.mark.parametrize("url", ["amqp://a:geheim@b//", "sentinel://a:1", "valkey://a", "a:6379"])
def test_a_broker_that_is_no_redis_is_refused_and_its_password_not_shown(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("TRIAGE_BROKER_URL", url)
    with pytest.raises(
        SettingsError, match=r"TRIAGE_BROKER_URL: .*Redis or Valkey only"
    ) as refused:
        read_settings()
    assert "geheim" not in str(refused.value)


def test_what_is_embedded_is_for_its_owner_alone(tmp_path: Path) -> None:
    settings = Settings(_env_file=None, home=tmp_path / "home")
    upgrade(settings)
    open_database(settings).engine.dispose()
    assert settings.home.stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o777 for file in settings.home.glob("triage.sqlite3*")} == {
        0o600
    }


URL = "postgresql+psycopg://triage:geheim@db/triage"


def test_a_secret_is_the_content_of_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in zip(SECRETS, (URL, "rediss://:geheim@b", "0123456789abcdef"), strict=True):
        (tmp_path / name).write_text(f"{value}\n")
        monkeypatch.setenv(f"{name}_FILE", str(tmp_path / name))
    settings = read_settings()
    assert settings.database_url == URL
    assert settings.broker_url == "rediss://:geheim@b"
    assert settings.stow_token.get_secret_value() == "0123456789abcdef"


def test_the_env_file_may_name_the_file_of_a_secret() -> None:
    Path("secret").write_text(URL)
    Path(".env").write_text("TRIAGE_DATABASE_URL_FILE=secret\n")
    assert read_settings().database == URL


def test_a_secret_that_is_given_twice_is_refused_by_both_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Path("secret").write_text(URL)
    monkeypatch.setenv("TRIAGE_BROKER_URL", "redis://b")
    monkeypatch.setenv("TRIAGE_BROKER_URL_FILE", "secret")
    with pytest.raises(SettingsError, match="TRIAGE_BROKER_URL and TRIAGE_BROKER_URL_FILE"):
        read_settings()


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_a_secret_that_cannot_be_read_is_refused_with_setting_and_file(
    monkeypatch: pytest.MonkeyPatch, content: bytes | None
) -> None:
    if content is not None:
        Path("gone").write_bytes(content)
    monkeypatch.setenv("TRIAGE_STOW_TOKEN_FILE", "gone")
    with pytest.raises(SettingsError, match=r"^TRIAGE_STOW_TOKEN_FILE: gone: "):
        read_settings()


def test_a_bad_secret_is_refused_by_the_name_of_its_file_and_not_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Path("secret").write_text("amqp://a:geheim@b//")
    monkeypatch.setenv("TRIAGE_BROKER_URL_FILE", "secret")
    with pytest.raises(SettingsError, match=r"^TRIAGE_BROKER_URL_FILE: ") as refused:
        read_settings()
    assert "geheim" not in str(refused.value)


@pytest.mark.parametrize("name", ["TRIAGE_TLS_KEY_FILE", "TRIAGE_DICOM_PORT_FILE"])
def test_what_is_no_secret_is_read_from_no_file(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "secret")
    with pytest.raises(SettingsError, match=f"{name}: no such setting"):
        read_settings()
