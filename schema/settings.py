"""All settings: environment variables with the prefix TRIAGE_, or the same names in `.env`.

Read once at the entry point and passed down. `deploy/example.env` documents each with its default.
"""

import hashlib
import os
import re
import sys
import tempfile
from collections.abc import Callable, Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Literal, NoReturn
from urllib.parse import urlencode, urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import sqlalchemy as sa
from dotenv import dotenv_values
from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from schema.bare_environment import PREFIX
from schema.callers import Caller, parse_callers
from schema.errors import SettingsError
from schema.peers import PeerAddress, PeerCertificate, parse_addresses, parse_certificates
from schema.readers import Role
from schema.secret_files import FILE_NAMES, SUFFIX, read_secret_files

UNIX_SOCKET_PATH_LIMIT = 100  # sun_path holds 108 bytes on Linux
# VR AE: 16 characters of the default repertoire, no backslash, no control, not spaces alone
# (PS3.5 section 6.2).
AE_TITLE = r"^ *[!-\[\]-~][ -\[\]-~]*$"
DATABASES = ("sqlite", "postgresql")
BROKERS = ("redis", "rediss", "redis+socket")
SOCKET = "redis+socket://"
ESCAPED = "write / # ? @ and % of a password as %2F %23 %3F %40 %25"  # the value is never shown
OWNER_ALONE = 0o700
# What Kubernetes puts into every container for a Service named `triage` or `triage-…`.
INJECTED = re.compile(r"TRIAGE_(\w+_)?(SERVICE_(HOST|PORT\w*)|PORT(_\d+_(TCP|UDP|SCTP)\w*)?)")
INJECTED_PORT = re.compile(r"(tcp|udp|sctp)://")
LOOPBACK = "*@127.0.0.0/8,*@::1"

Port = Annotated[int, Field(ge=0, le=65535)]
Network = IPv4Network | IPv6Network
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
AeTitle = Annotated[str, Field(pattern=AE_TITLE, max_length=16)]


class Settings(BaseSettings):
    """Every setting of every part; the attribute is the variable without its prefix."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_file=".env", extra="ignore", frozen=True, hide_input_in_errors=True
    )

    home: Path = Path("var")
    database_url: str | None = None
    broker_url: str | None = None
    broker_ca: Path | None = None
    storage_dir: Path | None = None
    log_level: Annotated[str, Field(pattern="^(DEBUG|INFO|WARNING|ERROR)$")] = "INFO"

    dicom_host: str = "127.0.0.1"
    dicom_port: Port = 11112
    ae_title: AeTitle = "IHSNET"
    more_ae_titles: Annotated[tuple[AeTitle, ...] | None, NoDecode] = None
    callers: Annotated[tuple[Caller, ...] | None, NoDecode] = None
    acceptors: Annotated[int, Field(ge=1, le=64)] | None = None
    max_associations: Annotated[int, Field(ge=1, le=1000)] = 128
    min_free_mb: Annotated[int, Field(ge=0)] = 512
    associations_per_peer: Annotated[int, Field(ge=1, le=1000)] = 96
    associations_per_minute: Annotated[float, Field(ge=1, allow_inf_nan=False)] = 1200
    max_object_mb: Annotated[int, Field(ge=1)] = 2048

    dicom_plain: bool = True
    tls_port: Port | None = None
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    tls_ca: Path | None = None
    caller_certificates: Annotated[tuple[PeerCertificate, ...] | None, NoDecode] = None
    commitment_peers: Annotated[tuple[PeerAddress, ...] | None, NoDecode] = None

    stow_token: Annotated[SecretStr | None, Field(min_length=16)] = None
    stow_host: str = "127.0.0.1"
    stow_port: Port = 8081
    stow_max_mb: Annotated[int, Field(ge=1)] = 4096

    canary_minutes: Annotated[float | None, Field(ge=1, le=1440)] = None
    metrics_host: str = "127.0.0.1"
    metrics_port: Port | None = None
    worker_metrics_port: Port | None = None
    study_late_s: Seconds = 900
    retention_days: Annotated[float | None, Field(gt=0, allow_inf_nan=False)] = None

    series_quiet_s: Seconds = 5
    series_silence_s: Seconds = 20
    series_cap_s: Seconds = 600
    selection: Path | None = None
    words: Path | None = None
    order: Path | None = None
    count_peers: Annotated[tuple[PeerAddress, ...] | None, NoDecode] = None
    announcement_port: Port | None = None
    sweep_s: Seconds = 1
    redispatch_s: Seconds = 10

    worklist_host: str = "127.0.0.1"
    worklist_port: Port = 8080
    worklist_recent_h: Annotated[float, Field(gt=0, le=8784)] = 8
    time_zone: str = "UTC"
    session_h: Annotated[float, Field(gt=0, le=8784)] = 12
    sso_header: Annotated[str, Field(pattern="^[A-Za-z0-9-]{1,64}$")] | None = None
    sso_proxies: Annotated[tuple[Network, ...] | None, NoDecode] = None
    sso_role: Role | None = None
    escalate_after_s: Seconds = 900
    audit_file: Path | None = None
    audit_syslog: Annotated[str, Field(pattern=r"^(udp|tcp)://[^/]+:\d+$")] | None = None
    picture_cache_mb: Annotated[int, Field(ge=1)] = 2000
    viewer_url: Annotated[str, Field(pattern=r"^https?://.*\{study\}.*$")] | None = None

    model: Path | None = None
    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d+)?)$")] = "auto"
    backend: Literal["eager", "onnxruntime"] = "eager"
    operating_point: str | None = None
    rules: Path | None = None
    lease_s: Seconds = 30
    max_attempts: Annotated[int, Field(ge=1, le=10)] = 3
    missing_file_s: Seconds = 600
    time_limit_s: Annotated[int, Field(ge=1, le=3000)] = 600
    decode_memory_mb: Annotated[int, Field(ge=512)] = 2048
    decode_limit_s: Seconds = 30
    prefetch_mb: Annotated[int, Field(ge=0)] | None = None
    destinations: Path | None = None

    @field_validator("database_url")
    @classmethod
    def _know_database(cls, value: str | None) -> str | None:
        try:
            if value is not None:
                dialect = sa.make_url(value).get_dialect()
                dialect.import_dbapi()  # it may not be installed
                DATABASES.index(dialect.name)
                if "@" in (sa.make_url(value).host or ""):
                    raise ValueError(ESCAPED)
        except (ValueError, sa.exc.ArgumentError, sa.exc.NoSuchModuleError, ImportError) as error:
            raise ValueError(
                "not the URL of a database that is known;"
                f" one is postgresql+psycopg://user:password@host/name; {ESCAPED}"
            ) from error
        return value

    @field_validator("broker_url")
    @classmethod
    def _refuse_other_brokers(cls, value: str | None) -> str | None:
        if value is None:
            return value
        if value.partition("://")[0] not in BROKERS:
            raise ValueError(f"Redis or Valkey only: {'://, '.join(BROKERS)}://")
        if not value.startswith(SOCKET) and not _has_host(value):
            raise ValueError(f"no host and port can be read from it; {ESCAPED}")
        return value

    @field_validator("callers", mode="before")
    @classmethod
    def _read_callers(cls, value: object) -> object:
        return parse_callers(value) if isinstance(value, str) else value

    @field_validator("more_ae_titles", mode="before")
    @classmethod
    def _read_titles(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return tuple(title.strip() for title in value.split(",") if title.strip())

    @field_validator("caller_certificates", mode="before")
    @classmethod
    def _read_certificates(cls, value: object) -> object:
        return _table(parse_certificates, value)

    @field_validator("commitment_peers", "count_peers", mode="before")
    @classmethod
    def _read_addresses(cls, value: object) -> object:
        return _table(parse_addresses, value)

    @field_validator("sso_proxies", mode="before")
    @classmethod
    def _read_networks(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return tuple(ip_network(part.strip()) for part in value.split(",") if part.strip())

    @field_validator("time_zone")
    @classmethod
    def _know_time_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError("not a time zone of the IANA database, as in Europe/Berlin") from error
        return value

    @property
    def zone(self) -> ZoneInfo:
        """The time zone of what people read."""
        return ZoneInfo(self.time_zone)

    @property
    def embedded(self) -> bool:
        """Whether the database is the embedded default, which migrates itself."""
        return self.database_url is None

    @property
    def database(self) -> str:
        """SQLAlchemy URL of the database."""
        return self.database_url or f"sqlite:///{self.home.resolve() / 'triage.sqlite3'}"

    @property
    def acceptor_count(self) -> int:
        """How many processes take connections: the setting; else one a core, two at least."""
        return self.acceptors or min(max(os.cpu_count() or 1, 2), 8)

    @property
    def ae_titles(self) -> tuple[str, ...]:
        """All that we may be called, our own title first."""
        return tuple(title.strip() for title in (self.ae_title, *(self.more_ae_titles or ())))

    @property
    def broker_socket(self) -> Path:
        """Unix socket of the private Redis."""
        path = self.home.resolve() / "redis.sock"
        if len(os.fsencode(path)) <= UNIX_SOCKET_PATH_LIMIT:
            return path
        digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"ihsnet-{os.getuid()}-{digest}.sock"

    @property
    def broker(self) -> str:
        """Celery URL of the broker; its certificate is verified unless the URL says otherwise."""
        url = self.broker_url or f"redis+socket://{self.broker_socket}"
        if not url.startswith("rediss://") or "ssl_cert_reqs=" in url:
            return url
        verified = {"ssl_cert_reqs": "required", "ssl_check_hostname": "true"}
        authority = {} if self.broker_ca is None else {"ssl_ca_certs": str(self.broker_ca)}
        return f"{url}{'&' if '?' in url else '?'}{urlencode(verified | authority)}"

    @property
    def storage(self) -> Path:
        """Folder that holds the received and the written objects."""
        return (self.storage_dir or self.home / "storage").resolve()

    @property
    def audit(self) -> Path:
        """File of the audit trail."""
        return self.audit_file or self.home / "audit.log"

    @property
    def allowed_callers(self) -> tuple[Caller, ...]:
        """Who may send: the setting; loopback in the embedded default; else nobody."""
        if self.callers is not None:
            return self.callers
        return parse_callers(LOOPBACK) if self.embedded else ()


def _has_host(url: str) -> bool:
    """Say whether a URL's host and port can be read: an unescaped sign of a password ends them."""
    try:
        parts = urlsplit(url)
        has_one = bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    return has_one and "@" not in parts.path + parts.query + parts.fragment


def _table(parse: Callable[[str], object], value: object) -> object:
    """Parse a setting's text; a bad one is named with its setting, as pydantic's own errors are."""
    if not isinstance(value, str):
        return value
    try:
        return parse(value)
    except SettingsError as error:
        raise ValueError(str(error)) from error


def read_settings() -> Settings:
    """Read the environment, `.env` and the files that secrets are in.

    Raises
    ------
    SettingsError
        If a TRIAGE_ name is unknown, a value is bad or a port is given twice; the message is one
        line.
    """
    given = {**dotenv_values(".env"), **os.environ}
    ours = {name: value or "" for name, value in given.items() if name.startswith(PREFIX)}
    _refuse_unknown_names(ours)
    secrets = read_secret_files(ours)
    try:
        settings = Settings(**{_field(name): value for name, value in secrets.items()})  # type: ignore[arg-type]  # each by its own validator
    except ValidationError as error:
        first = error.errors()[0]
        name = PREFIX + str(first["loc"][0]).upper()
        source = name + SUFFIX if name in secrets else name
        raise SettingsError(f"{source}: {first['msg']}; see deploy/example.env") from error
    _refuse_one_port_twice(settings)
    return settings


def _refuse_one_port_twice(settings: Settings) -> None:
    """Refuse what would fail when the second of two listens; 0 is any port that is free."""
    dicom, stow = settings.dicom_host, settings.stow_host
    wanted = {
        "TRIAGE_DICOM_PORT": (dicom, settings.dicom_port if settings.dicom_plain else 0),
        "TRIAGE_TLS_PORT": (dicom, settings.tls_port),
        "TRIAGE_STOW_PORT": (stow, settings.stow_port if settings.stow_token else 0),
        "TRIAGE_ANNOUNCEMENT_PORT": (dicom, settings.announcement_port),
    }
    taken: dict[tuple[str, int | None], str] = {}
    for name, (host, port) in wanted.items():
        other = taken.setdefault((host, port), name)
        if port and other != name:
            raise SettingsError(f"{other} and {name} are both {port}; choose another for one")


def _field(name: str) -> str:
    return name.removeprefix(PREFIX).lower()


def _refuse_unknown_names(ours: Mapping[str, str]) -> None:
    known = FILE_NAMES | {PREFIX + name.upper() for name in Settings.model_fields}
    injected = {name for name, value in ours.items() if _is_injected(name, value)}
    for name in sorted(injected & known):
        raise SettingsError(
            f"{name}: Kubernetes sets it for a Service of that name; set it yourself, or "
            "enableServiceLinks: false in the pod"
        )
    unknown = sorted(ours.keys() - known - injected)
    if unknown:
        raise SettingsError(f"{unknown[0]}: no such setting; see deploy/example.env")


def _is_injected(name: str, value: str) -> bool:
    """Say whether Kubernetes, not a person, put a variable there."""
    if not INJECTED.fullmatch(name):
        return False
    return "_SERVICE_" in name or INJECTED_PORT.match(value) is not None or "_PORT_" in name


def make_home(settings: Settings) -> None:
    """Make the folder of the embedded default, for its owner alone: patients are in it."""
    settings.home.mkdir(mode=OWNER_ALONE, parents=True, exist_ok=True)


def settings_or_exit() -> Settings:
    """Read the settings for a program's entry point; a bad one ends it with one line."""
    try:
        return read_settings()
    except SettingsError as error:
        stop(error)


def stop(error: Exception) -> NoReturn:
    """End the program with one line on standard error and status 2."""
    sys.stderr.write(f"ihsnet-triage: {error}\n")
    raise SystemExit(2) from None
