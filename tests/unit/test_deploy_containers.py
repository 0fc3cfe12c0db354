"""Images, compose file and manifests: what can be known of them without a runtime or a cluster."""

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.deployments import is_ours, unknown_settings

yaml = pytest.importorskip("yaml", reason="PyYAML, of the extra 'test', is not installed")

DEPLOY = Path(__file__).parents[2] / "deploy"
CONTAINERFILES = sorted((DEPLOY / "containers").glob("Containerfile*"))
MANIFESTS = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
COMPOSE = DEPLOY / "containers" / "compose.yaml"
USER = 960
WRITABLE = {"/tmp", "/var/lib/ihsnet"}  # inside the container


def targets() -> dict[str, str]:
    """Give the lines of each stage of the Containerfiles that becomes an image."""
    text = "\n".join(file.read_text() for file in CONTAINERFILES)
    stages = re.split(r"^FROM .* AS (\w+)$", text, flags=re.MULTILINE)[1:]
    named = dict(zip(stages[::2], stages[1::2], strict=True))
    return {name: lines for name, lines in named.items() if name != "base"}


def documents() -> list[dict[str, Any]]:
    return [document for file in MANIFESTS for document in yaml.safe_load_all(file.read_text())]


def workloads() -> dict[str, dict[str, Any]]:
    return {
        document["metadata"]["name"]: document["spec"]["template"]["spec"]
        for document in documents()
        if document["kind"] in ("Deployment", "Job")
    }


def containers() -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    for pod in workloads().values():
        for container in pod["containers"]:
            yield pod, container


def compose() -> dict[str, Any]:
    return dict(yaml.safe_load(COMPOSE.read_text()))


def taken_in(text: str) -> str:
    """Give a file with what it only offers: lines whose # has no space behind it."""
    return re.sub(r"^( *)#(?! |$)", r"\1", text, flags=re.MULTILINE)


def our_services() -> dict[str, dict[str, Any]]:
    services = compose()["services"]
    return {name: service for name, service in services.items() if "ihsnet" in service["image"]}


def test_every_part_has_an_image_that_runs_a_program_of_ours_as_nobody_special() -> None:
    assert set(targets()) == {"receiver", "deliver", "worklist", "worker"}
    for lines in targets().values():
        (command,) = re.findall(r"^CMD (.*)$", lines, re.MULTILINE)
        assert is_ours(json.loads(command))
        assert re.findall(r"^USER (.*)$", lines, re.MULTILINE) == [f"{USER}:{USER}"]


def test_the_worker_alone_has_torch() -> None:
    extras = {name: re.findall(r"'\.\[(\w+)\]'", lines) for name, lines in targets().items()}
    assert extras == {name: [name] for name in extras}


@pytest.mark.parametrize("file", CONTAINERFILES, ids=lambda file: file.name)
def test_what_an_image_copies_is_there_and_its_settings_exist(file: Path) -> None:
    text = file.read_text()
    copied = [
        name for line in re.findall(r"^COPY (.*) \S+$", text, re.MULTILINE) for name in line.split()
    ]
    assert copied
    assert [name for name in copied if not (DEPLOY.parent / name).exists()] == []
    kept = set(re.findall(r"^!(\S+)$", (DEPLOY.parent / ".dockerignore").read_text(), re.MULTILINE))
    assert set(copied) <= kept
    given = re.findall(r"(TRIAGE_\w+)=", text)
    assert given
    assert unknown_settings(given) == []


def test_every_file_that_a_part_reads_is_installed_with_it() -> None:
    project = tomllib.loads((DEPLOY.parent / "pyproject.toml").read_text())
    patterns = ["*.py", *project["tool"]["setuptools"]["package-data"]["*"]]
    files = [
        file
        for folder in ("schema", "receiver", "worker", "worklist")
        for file in (DEPLOY.parent / folder).rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    ]
    assert [str(file) for file in files if not any(map(file.match, patterns))] == []


def test_each_setting_of_the_compose_file_exists() -> None:
    given = {name for service in our_services().values() for name in service["environment"]}
    assert given
    assert unknown_settings(sorted(given)) == []


def test_each_service_of_ours_is_confined() -> None:
    for service in our_services().values():
        assert service["user"] == f"{USER}:{USER}"
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]


def test_each_service_of_ours_has_where_it_must_write() -> None:
    for name, service in our_services().items():
        mounts = [mount.split(":")[:2] for mount in service.get("volumes", [])]
        given = {path for _, path in mounts} | {path.split(":")[0] for path in service["tmpfs"]}
        assert given >= WRITABLE, name


def test_each_secret_of_the_compose_file_is_read_where_it_is_handed_over() -> None:
    for service in our_services().values():
        read = {
            value.removeprefix("/run/secrets/")
            for name, value in service["environment"].items()
            if name.endswith("_URL_FILE")
        }
        assert read == set(service["secrets"])
        assert read <= set(compose()["secrets"])


def test_each_image_of_the_compose_file_and_the_manifests_is_built() -> None:
    built = {f"ihsnet-triage-{name}" for name in targets()}
    named = {service["image"] for service in our_services().values()}
    named |= {
        container["image"].rpartition("/")[2].partition(":")[0] for _, container in containers()
    }
    assert named == built


def test_each_command_that_replaces_an_images_own_exists() -> None:
    commands = [service["command"] for service in our_services().values() if "command" in service]
    commands += [container["command"] for _, container in containers() if "command" in container]
    assert [command for command in commands if not is_ours(command)] == []
    assert commands == [["python", "-m", "schema", "upgrade"]] * 2


def test_each_setting_of_the_manifests_exists() -> None:
    given = [entry["name"] for _, container in containers() for entry in container["env"]]
    (settings,) = [document for document in documents() if document["kind"] == "ConfigMap"]
    assert given
    assert unknown_settings([*given, *settings["data"]]) == []


def test_pods_are_confined_and_get_no_service_links() -> None:
    assert set(workloads()) == {
        "triage-migrate",
        "triage-receiver",
        "triage-worker",
        "triage-deliver",
        "triage-worklist",
    }
    for pod, container in containers():
        assert pod["enableServiceLinks"] is False
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] == USER
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert container["securityContext"] == {
            "readOnlyRootFilesystem": True,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        }


def test_each_container_mounts_volumes_of_its_pod_where_it_must_write() -> None:
    for pod, container in containers():
        mounts = container["volumeMounts"]
        assert {mount["name"] for mount in mounts} == {volume["name"] for volume in pod["volumes"]}
        assert {mount["mountPath"] for mount in mounts} >= WRITABLE


def test_each_claim_and_each_map_of_settings_that_a_pod_names_is_in_the_manifests() -> None:
    there = {document["metadata"]["name"] for document in documents()}
    claims = {
        volume["persistentVolumeClaim"]["claimName"]
        for pod in workloads().values()
        for volume in pod["volumes"]
        if "persistentVolumeClaim" in volume
    }
    maps = {
        source["configMapRef"]["name"]
        for _, container in containers()
        for source in container["envFrom"]
    }
    assert claims == {"triage-storage", "triage-page"}
    assert claims | maps <= there


def test_each_service_finds_a_workload_and_a_port_of_it_and_none_leads_to_metrics() -> None:
    ports = {
        (name, port["name"])
        for name, pod in workloads().items()
        for container in pod["containers"]
        for port in container.get("ports", [])
        if port["name"] != "metrics"
    }
    services = [document["spec"] for document in documents() if document["kind"] == "Service"]
    assert {
        (spec["selector"]["app"], port["targetPort"]) for spec in services for port in spec["ports"]
    } == ports


def test_each_part_that_stays_is_asked_whether_it_is_ready_on_a_port_that_it_opens() -> None:
    for pod, container in containers():
        if "restartPolicy" in pod:  # the migration, which ends
            continue
        opened = {port["name"]: port["containerPort"] for port in container["ports"]}
        ready = container["readinessProbe"]["httpGet"]
        assert (ready["path"], container["livenessProbe"]["httpGet"]["path"]) == (
            "/ready",
            "/health",
        )
        given = {entry["name"]: entry["value"] for entry in container["env"]}
        ports = {value for name, value in given.items() if name.endswith("METRICS_PORT")}
        assert ready["port"] in opened
        assert ports in (set(), {str(opened.get("metrics"))})


def test_each_part_of_the_compose_file_that_stays_is_asked_whether_it_is_ready() -> None:
    for name, service in our_services().items():
        if name == "migrate":
            continue
        asked = service["healthcheck"]["test"][-1]
        ports = [
            value for key, value in service["environment"].items() if key.endswith("METRICS_PORT")
        ]
        assert f":{(ports or [8080])[0]}/ready" in asked


@pytest.mark.parametrize("name", ["worker", "deliver"])
def test_the_compose_file_offers_both_workers_a_place_for_destinations(name: str) -> None:
    service = yaml.safe_load(taken_in(COMPOSE.read_text()))["services"][name]
    file = Path(service["environment"]["TRIAGE_DESTINATIONS"])
    assert f"./destinations:{file.parent}:ro" in service["volumes"]
    assert ("ports" in service) == (name == "deliver")  # archives report to who sent


@pytest.mark.parametrize("name", ["worker", "deliver"])
def test_the_manifests_offer_both_workers_a_place_for_destinations(name: str) -> None:
    text = taken_in((DEPLOY / "kubernetes" / f"{name}.yaml").read_text())
    workload, *services = yaml.safe_load_all(text)
    pod = workload["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    given = {entry["name"]: entry["value"] for entry in container["env"]}
    (mount,) = [each for each in container["volumeMounts"] if each["name"] == "destinations"]
    assert Path(given["TRIAGE_DESTINATIONS"]).parent == Path(mount["mountPath"])
    assert "destinations" in {volume["name"] for volume in pod["volumes"]}
    offered = {port["targetPort"] for service in services for port in service["spec"]["ports"]}
    opened = {port["name"] for port in container["ports"]}
    assert offered == opened - {"metrics"} == ({"commitment"} if name == "deliver" else set())
