"""What holds for the tree as a whole; the table of allowed imports itself is import-linter's."""

import ast
import json
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions, requires, version
from itertools import combinations
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from schema.monitoring.signs import program_version
from worker.uids import software_version

ROOT = Path(__file__).parents[1]
OURS = ("schema", "receiver", "worker", "worklist", "trainer")
ACT_ON_IMPORT = {"worker.celery", "worker.tasks"}  # Celery finds its app by importing them


def modules(package: str) -> list[str]:
    """Name every module of a package that may be imported without consequences."""
    paths = (ROOT / package).rglob("*.py")
    names = {".".join(path.relative_to(ROOT).with_suffix("").parts) for path in paths}
    idle = {name.removesuffix(".__init__") for name in names if "migrations" not in name}
    return sorted(name for name in idle - ACT_ON_IMPORT if not name.endswith("__main__"))


def run(code: str, folder: Path) -> str:
    """Run code in an interpreter and a folder of its own; give what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("package", OURS)
def test_the_package_name_belongs_to_our_distribution(package: str) -> None:
    assert set(packages_distributions()[package]) == {"ihsnet-triage"}


def declared_version() -> str:
    return str(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"])


def test_what_is_no_release_calls_itself_a_development_version() -> None:
    newest = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    released = newest[0] == declared_version()
    assert released or (newest[0] == "Unreleased" and declared_version().endswith(".dev0"))
    assert declared_version() not in newest[1:]


def test_what_is_installed_tells_the_version_of_this_tree() -> None:
    assert {version("ihsnet-triage"), program_version(), software_version()} == {
        declared_version()
    }, "install again: pip install --no-deps --editable ."


def test_the_manifests_name_the_images_of_this_version() -> None:
    manifests = (ROOT / "deploy" / "kubernetes").glob("*.yaml")
    named = {
        tag
        for manifest in manifests
        for tag in re.findall(r"ihsnet-triage-\w+:(\S+)", manifest.read_text())
    }
    assert named == {declared_version()}


@pytest.mark.parametrize("extra", ["receiver", "worklist", "embedded"])
def test_only_a_gpu_host_installs_torch(extra: str) -> None:
    wanted = [line for line in requires("ihsnet-triage") or () if f'extra == "{extra}"' in line]
    assert wanted
    assert not any(line.startswith(("torch", "highdicom", "opencv")) for line in wanted)


@pytest.mark.slow
@pytest.mark.parametrize("package", OURS)
def test_importing_every_module_opens_and_writes_nothing(package: str, tmp_path: Path) -> None:
    imports = "\n".join(f"import {name}" for name in modules(package))
    watch = f"""
import sys
def refuse(event, args):
    if event in ("socket.connect", "socket.bind", "sqlite3.connect", "subprocess.Popen"):
        raise RuntimeError(f"import did {{event}} {{args}}")
import schema.settings
{"import torch, cv2, highdicom" if package in ("worker", "trainer") else ""}
sys.addaudithook(refuse)
{imports}
"""
    run(watch, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("package", "forbidden"),
    [
        ("schema", ("torch", "celery", "pynetdicom", "highdicom", "receiver", "worker")),
        ("receiver", ("torch", "highdicom", "worker", "trainer")),
        ("worklist", ("torch", "worker", "receiver")),
        ("worker.munet", ("celery", "sqlalchemy", "pynetdicom", "schema", "worker.celery")),
    ],
)
def test_a_host_that_runs_one_part_loads_nothing_of_the_others(
    package: str, forbidden: tuple[str, ...], tmp_path: Path
) -> None:
    folder = package.replace(".", "/")
    names = [name for name in modules(folder.split("/")[0]) if name.startswith(package)]
    code = "\n".join(f"import {name}" for name in names)
    loaded = run(f"{code}\nimport sys\nprint(*sys.modules)", tmp_path).split()
    assert set(forbidden).isdisjoint(loaded)


def installed_with(extra: str) -> set[str]:
    """Name every distribution that comes with an extra, and what those want in turn."""
    found: set[tuple[str, str]] = set()
    wanted = [("ihsnet-triage", ""), ("ihsnet-triage", extra)]
    while wanted:
        found.add(one := wanted.pop())
        for line in requires(one[0]) or ():
            requirement = Requirement(line)
            marker = requirement.marker
            if marker is None or marker.evaluate({"extra": one[1]}):
                name = canonicalize_name(requirement.name)
                wanted += {(name, each) for each in ("", *requirement.extras)} - found
    return {name for name, _ in found}


PROGRAMS = {  # by extra: what its host runs, and what that imports when it is needed
    "receiver": ("receiver.__main__", "receiver.association.process", "receiver.stow.app"),
    "worker": ("worker.tasks", "worker.engine", "worker.analysis", "worker.look_child"),
    "deliver": ("worker.celery", "worker.delivery.tasks", "worker.delivery.service"),
    "worklist": ("worklist.__main__", "worker.viewing"),
}


def as_host(extra: str) -> str:
    """Give the first lines of a program on a host that has this extra alone."""
    here = installed_with(extra)
    absent = {
        package
        for package, names in packages_distributions().items()
        if here.isdisjoint(map(canonicalize_name, names))
    }
    return f"""
import os, sys
os.environ["TRIAGE_BROKER_URL"] = "redis://broker.example"  # no private Redis without its extra
sys.modules |= dict.fromkeys({sorted(absent)})  # an import of them fails
"""


@pytest.mark.slow
@pytest.mark.parametrize("extra", PROGRAMS)
def test_a_host_of_one_kind_has_all_that_its_programs_import(extra: str, tmp_path: Path) -> None:
    run(as_host(extra) + "".join(f"import {name}; " for name in PROGRAMS[extra]), tmp_path)


EVERYWHERE = {  # what an operator asks at 3 a.m., and what it answers while nothing was received
    "schema upgrade": "to revision",
    "worklist list": "none was received",
    "worklist explain 1.2.3": "no study 1.2.3 was received",
    "receiver force 1.2.3": "no study 1.2.3",
    "worker deliver": "Destination",
}
WITH_AN_EXTRA = {  # and the hosts that lack it
    "receiver canary": ("receiver", {"worker", "worklist"}),
    "worker export-onnx": ("worker", {"receiver", "deliver", "worklist"}),
    "worker deliver test PACS": ("deliver", {"receiver", "worker", "worklist"}),
    "worklist user remove nobody": ("worklist", {"receiver", "worker", "deliver"}),
}


@pytest.mark.slow
@pytest.mark.parametrize("extra", PROGRAMS)
def test_a_command_answers_on_every_host_or_names_the_extra_that_is_not_there(
    extra: str, tmp_path: Path
) -> None:
    lacking = {verb: needed for verb, (needed, hosts) in WITH_AN_EXTRA.items() if extra in hosts}
    code = f"""{as_host(extra)}
import json
from importlib import import_module
from typer.testing import CliRunner
os.environ["TRIAGE_HOME"] = "home"
said = {{}}
for verb in {[*EVERYWHERE, *lacking]}:
    package, *arguments = verb.split()
    done = CliRunner().invoke(import_module(package + ".__main__").app, arguments)
    if not isinstance(done.exception, SystemExit | None):
        raise done.exception
    said[verb] = done.output
print(json.dumps(said))
"""
    said = json.loads(run(code, tmp_path).splitlines()[-1])
    wrong = {verb: said[verb] for verb, words in EVERYWHERE.items() if words not in said[verb]}
    for verb, needed in lacking.items():
        if not said[verb].startswith(f"ihsnet-triage: this host has not the extra '{needed}' ("):
            wrong[verb] = said[verb]
    assert wrong == {}


def test_the_start_scripts_stop_with_one_line_without_a_python(tmp_path: Path) -> None:
    (tmp_path / "deploy").mkdir()
    for name in ("environment.sh", "test", "constraints.txt"):
        (tmp_path / "deploy" / name).write_bytes((ROOT / "deploy" / name).read_bytes())
    tools = tmp_path / "bin"
    tools.mkdir()
    for tool in ("bash", "dirname", "cat"):
        (tools / tool).symlink_to(f"/usr/bin/{tool}")
    done = subprocess.run(
        ["/usr/bin/bash", "deploy/test"],
        cwd=tmp_path,
        env={"PATH": str(tools)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == (
        "ihsnet-triage: Python 3.11 to 3.13 is needed and none was found;"
        " install it and run this again\n"
    )


FIGURES = ("dice", "iou", "accuracy", "auc", "sensitivity", "specificity")
NO_FIGURES = {"losses.py", "curves.py"}  # what can be differentiated, and drawings


def defined(path: Path) -> list[str]:
    """Name the functions of a module, those inside of classes too."""
    nodes = ast.walk(ast.parse(path.read_text("utf-8")))
    return [node.name for node in nodes if isinstance(node, ast.FunctionDef)]


def test_each_figure_of_the_trainer_is_defined_in_one_module() -> None:
    found = {
        path.name: names
        for path in (ROOT / "trainer").rglob("*.py")
        if path.name not in NO_FIGURES
        and (names := [name for name in defined(path) if set(FIGURES) & set(name.split("_"))])
    }
    assert list(found) == ["metrics.py"]
    assert {"dice", "mean_dice", "accuracy", "auc"} <= set(found["metrics.py"])


@pytest.mark.parametrize(
    "name", ["MEGABYTE", "sync_folder", "Level", "DimseStatus", "REQUEST_COMMITMENT", "UNANALYSED"]
)
def test_a_shared_fact_stands_once(name: str) -> None:
    """In the schema, whatever needs it."""
    places = [
        path.relative_to(ROOT).as_posix()
        for package in OURS
        for path in (ROOT / package).rglob("*.py")
        if name in assigned(path)
    ]
    assert len(places) == 1
    assert places[0].startswith("schema/")


def assigned(path: Path) -> set[str]:
    """Name what a module defines at its top level."""
    names: set[str] = set()
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
        elif isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return names


def test_no_file_has_the_name_of_its_folder_or_almost_that_of_another() -> None:
    for package in OURS:
        stems = sorted({path.stem for path in (ROOT / package).rglob("*.py")})
        assert [(a, b) for a, b in combinations(stems, 2) if are_one_letter_apart(a, b)] == []
        paths = (ROOT / package).rglob("*.py")
        assert [path for path in paths if path.stem == path.parent.name] == []


def are_one_letter_apart(name: str, other: str) -> bool:
    if len(name) == len(other):
        return sum(a != b for a, b in zip(name, other, strict=True)) == 1
    short, long = sorted((name, other), key=len)
    return any(long[:at] + long[at + 1 :] == short for at in range(len(long)))
