"""Alert rules and dashboard: Prometheus accepts them, each fires, and what they ask for exists."""

import json
import re
import subprocess
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from prometheus_client import REGISTRY
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

import receiver.counts
import worker.delivery.counts
from receiver.metrics import FilesCollector, StandingCollector, receiver_life
from schema.broker import client, ensure_broker
from schema.database import Database, read_clock
from schema.monitoring.disk import StorageCollector
from schema.monitoring.outcomes import OutcomeCollector
from schema.monitoring.pages import PartCollector
from schema.monitoring.site import SiteCollector
from schema.settings import Settings
from schema.tables import Canary
from tests.support.prometheus import DEPLOY, RULES, program
from tests.support.receivers import write_certificates
from tests.support.rows import add_series, add_study
from tests.support.workers import solo_worker
from worker.delivery.destinations import NOWHERE
from worker.delivery.metrics import OutboxCollector
from worker.metrics import WorkerCollector, Workforce
from worklist.metrics import ListCollector

yaml = pytest.importorskip("yaml", reason="PyYAML, of the extra 'test', is not installed")

ROOT = Path(__file__).parents[2]
CASES = tomllib.loads((Path(__file__).parent / "alert_cases.toml").read_text())
DASHBOARD = DEPLOY / "grafana" / "dashboard.json"
ALL_IS_WELL = {
    'up{job="ihsnet-triage", instance="r:1"}': "1x120",
    'triage_ready{part="receiver", instance="r:1"}': "1x120",
    'triage_processes{part="triage", host="gpu1", condition="ready", instance="r:1"}': "1x120",
    'triage_processes{part="page", host="www", condition="stopped", instance="r:1"}': "1x120",
    'triage_storage_up{instance="r:1"}': "1x120",
    'triage_storage_free_bytes{instance="r:1"}': "500x120",
    'triage_storage_size_bytes{instance="r:1"}': "1000x120",
    'triage_storage_reserve_bytes{instance="r:1"}': "100x120",
    'triage_storage_free_inodes{instance="r:1"}': "50000x120",
    'triage_storage_size_inodes{instance="r:1"}': "90000x120",
    'triage_storage_reserve_inodes{instance="r:1"}': "1000x120",
    'triage_objects_total{way="C-STORE", status="0x0000", instance="r:1"}': "0+100x120",
    'triage_objects_total{way="C-STORE", status="0xA700", instance="r:1"}': "0x120",
    'triage_database_up{instance="r:1"}': "1x120",
    'triage_broker_up{instance="r:1"}': "1x120",
    'triage_consumer_attached{instance="gpu1:1"}': "1x120",
    'triage_remote_control_enabled{instance="gpu1:1"}': "0x120",
    'triage_last_reception_seconds{instance="r:1"}': "60x120",
    'triage_late_studies{instance="r:1"}': "0x120",
    'triage_oldest_inbox_object_seconds{instance="r:1"}': "5x120",
    'triage_oldest_job_seconds{instance="r:1"}': "30x120",
    'triage_unanalysed_total{cause="no suitable series", instance="r:1"}': "0+1x120",
    'triage_unanalysed_total{cause="worker died", instance="r:1"}': "0x120",
    'triage_lease_take_overs_total{instance="r:1"}': "1x120",
    'triage_associations_total{outcome="accepted", instance="r:1"}': "0+100x120",
    'triage_certificate_expiry_seconds{instance="r:1"}': "9999999x120",
    'triage_deliveries{destination="RIS", state="FAILED", instance="d:1"}': "4x30 2x90",
    'triage_deliveries{destination="RIS", state="WAITING", instance="d:1"}': "0+1x120",
    'triage_canary_result_known{instance="r:1"}': "1x120",
    'triage_canary_waiting_seconds{instance="r:1"}': "20x120",
}


def rules() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load(RULES.read_text())["groups"]
    return list(group["rules"])


def panels() -> list[dict[str, Any]]:
    return list(json.loads(DASHBOARD.read_text())["panels"])


def promtool(*arguments: str) -> None:
    done = subprocess.run(
        [program("promtool"), *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_accepts_the_rules_and_the_scrape_jobs(tmp_path: Path) -> None:
    promtool("check", "rules", str(RULES))
    for name in ("prometheus.yml", "alerts.yml"):
        (tmp_path / name).write_bytes((RULES.parent / name).read_bytes())
    (tmp_path / "page-password").touch()
    promtool("check", "config", str(tmp_path / "prometheus.yml"))


def test_each_alert_fires_on_its_case_and_none_while_all_is_well(tmp_path: Path) -> None:
    by_name = {rule["alert"]: rule for rule in rules()}
    tests = [
        {
            "interval": "1m",
            "input_series": written(case["series"]),
            "alert_rule_test": [expected(by_name[name], case, case.get("at", "61m"))],
        }
        for name, case in CASES.items()
    ]
    silent = [{"alertname": name, "eval_time": "100m", "exp_alerts": []} for name in by_name]
    well = {"interval": "1m", "input_series": written(ALL_IS_WELL), "alert_rule_test": silent}
    path = tmp_path / "cases.yml"
    path.write_text(json.dumps({"rule_files": [str(RULES)], "tests": [*tests, well]}))
    promtool("test", "rules", str(path))


def test_what_is_old_since_somebody_holds_its_destination_pages_nobody(tmp_path: Path) -> None:
    series = CASES["TriageDeliveryOld"]["series"] | CASES["TriageDestinationHeld"]["series"]
    silent = [{"alertname": "TriageDeliveryOld", "eval_time": "60m", "exp_alerts": []}]
    case = {"interval": "1m", "input_series": written(series), "alert_rule_test": silent}
    path = tmp_path / "held.yml"
    path.write_text(json.dumps({"rule_files": [str(RULES)], "tests": [case]}))
    promtool("test", "rules", str(path))


def written(series: dict[str, str]) -> list[dict[str, str]]:
    return [{"series": name, "values": values} for name, values in series.items()]


def expected(rule: dict[str, Any], case: dict[str, Any], at: str) -> dict[str, Any]:
    annotations = rule["annotations"] | {"summary": case["summary"]}
    alert = {"exp_labels": rule["labels"] | case["labels"], "exp_annotations": annotations}
    return {"alertname": rule["alert"], "eval_time": at, "exp_alerts": [alert]}


def test_every_alert_has_its_case_its_page_and_a_link_to_it() -> None:
    names = [rule["alert"] for rule in rules()]
    headings = re.findall(r"^## (\w+)$", (ROOT / "docs" / "alerts.md").read_text(), re.MULTILINE)
    assert names == headings
    assert set(names) == set(CASES)
    links = [rule["annotations"]["runbook_url"] for rule in rules()]
    assert links == [f"docs/alerts.md#{name.lower()}" for name in names]


def test_every_command_of_the_alerts_page_exists() -> None:
    text = (ROOT / "docs" / "alerts.md").read_text()
    named = {" ".join(words.split()[:2]) for words in re.findall(r"python -m ([\w -]+)", text)}
    known = {
        "schema check",
        "schema forget",
        "worklist explain",
        "receiver force",
        "worker deliver",
    }
    assert named == known


def test_panels_have_a_place_of_their_own_and_the_source_that_is_chosen() -> None:
    places = [tuple(panel["gridPos"].values()) for panel in panels()]
    assert len({panel["id"] for panel in panels()}) == len(panels())
    for number, (x, y, wide, high) in enumerate(places):
        for left, top, w, h in places[:number]:
            assert x >= left + w or left >= x + wide or y >= top + h or top >= y + high
    sources = {panel["datasource"]["uid"] for panel in panels() if panel["type"] != "row"}
    assert sources == {"${source}"}


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_every_metric_of_an_alert_or_a_panel_is_one_that_a_part_exports(
    exported: set[str],
) -> None:
    asked = [rule["expr"] for rule in rules()]
    asked += [target["expr"] for panel in panels() for target in panel.get("targets", [])]
    named = {name for expression in asked for name in re.findall(r"\btriage_\w+", expression)}
    assert len(named) > 40
    assert named - exported == set()


@pytest.fixture
def exported(settings: Settings, database: Database, tmp_path: Path) -> Iterator[set[str]]:
    """Give the name of every sample that some part may export."""
    files = write_certificates(tmp_path / "tls", trustme.CA(), "localhost")
    tls = {
        "tls_port": 0,
        "tls_certificate": files.certificate,
        "tls_key": files.key,
        "tls_ca": files.authority,
    }
    own = settings.model_copy(update=tls | {"canary_minutes": 15})
    (own.storage / "inbox").mkdir(parents=True)
    with database.transaction() as session:
        add_series(add_study(session), session)
        now = read_clock(session)
        session.add(Canary(digests=[], sent_at=now, ended_at=now, seconds=9, is_known=True))
    life = receiver_life(own, database, lambda: 1)
    life.look()
    ensure_broker(own)
    collectors: list[Collector] = [
        PartCollector(life),
        StorageCollector(own, life),
        FilesCollector(own, life),
        StandingCollector(own, database),
        SiteCollector(own, database),
        OutcomeCollector(database),
        WorkerCollector(Workforce(solo_worker(), None)),
        OutboxCollector(NOWHERE, database),
        ListCollector(database),
        REGISTRY,  # what the modules of counts made
    ]
    assert receiver.counts.REJECTIONS
    assert worker.delivery.counts.DELIVERY_SECONDS
    yield set(names(family for collector in collectors for family in collector.collect()))
    with client(own) as connection:
        connection.shutdown(nosave=True)


def names(families: Iterable[Metric]) -> Iterator[str]:
    for family in families:
        match family.type:
            case "counter":
                yield f"{family.name}_total"
            case "histogram":
                yield from (f"{family.name}_{part}" for part in ("bucket", "sum", "count"))
            case _:
                yield family.name
