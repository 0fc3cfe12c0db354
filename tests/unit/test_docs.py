"""Facts in the documents that can drift are held against the constants they speak of."""

import ast
import re
from pathlib import Path

import pytest

from receiver.protocol import rejection
from receiver.protocol.pdu import BUFFER_BYTES
from receiver.protocol.rejection import Rejection
from schema.settings import Settings
from tests.support.releases import RELEASE_0_1_0, release
from worklist.access.guard import MACHINES

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("name", ["conformance.md", "security.md"])
def test_the_size_in_which_a_pdu_is_read_is_the_one_written_down(name: str) -> None:
    sizes = re.findall(r"pieces of (?:at most )?(\d+) KiB", (ROOT / "docs" / name).read_text())
    assert sizes == [str(BUFFER_BYTES // 1024)]


def test_torchrun_gets_its_own_options_apart_from_ours() -> None:
    lines = (ROOT / "docs" / "training.md").read_text().splitlines()
    commands = [line for line in lines if line.startswith("torchrun")]
    assert commands
    assert all(" -- " in line for line in commands)


def test_every_printed_fit_holds_somebody_out_as_export_and_some_presets_want() -> None:
    text = (ROOT / "docs" / "training.md").read_text()
    commands = [line for line in re.findall(r"trainer fit [^`\n]+", text) if "fit … " not in line]
    assert commands
    assert [line for line in commands if "--held-out" not in line] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_between_documents_leads_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", document.read_text())
    local = [link for link in links if "://" not in link]
    assert [link for link in local if not (document.parent / link).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_file_of_ours_that_a_document_names_exists(document: Path) -> None:
    named = re.findall(
        r"`((?:schema|receiver|worker|worklist|trainer|tests|deploy|docs)/[\w/.*-]+\.\w+)",
        document.read_text(),
    )
    assert [name for name in named if not list(ROOT.glob(name))] == []


def test_the_runbook_names_every_reason_for_which_an_association_is_rejected() -> None:
    text = (ROOT / "docs" / "runbooks.md").read_text()
    reasons = [value.reason for value in vars(rejection).values() if isinstance(value, Rejection)]
    assert len(reasons) >= 6
    assert [reason for reason in reasons if reason not in text] == []


@pytest.mark.parametrize("name", ["operations.md", "api.md"])
def test_where_http_basic_counts_is_written_down(name: str) -> None:
    text = " ".join((ROOT / "docs" / name).read_text().split())
    said = text.partition("HTTP Basic")[2].partition(" alone")[0]
    assert tuple(re.findall(r"`(/[^`]*)`", said)) == MACHINES


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_setting_that_a_document_names_exists(document: Path) -> None:
    known = {f"TRIAGE_{name.upper()}" for name in Settings.model_fields}
    named = set(re.findall(r"TRIAGE_[A-Z0-9_]+[A-Z0-9]", document.read_text()))
    assert {name.removesuffix("_FILE") for name in named - known} - known == set()


def test_the_way_back_names_every_setting_at_which_the_release_before_stops(tmp_path: Path) -> None:
    before = (release(RELEASE_0_1_0, tmp_path) / "schema" / "settings.py").read_text()
    (known,) = [
        {str(line.target.id) for line in each.body if isinstance(line, ast.AnnAssign)}
        for each in ast.parse(before).body
        if isinstance(each, ast.ClassDef) and each.name == "Settings"
    ]
    new = {f"TRIAGE_{name.upper()}" for name in Settings.model_fields.keys() - known}
    back = (ROOT / "docs" / "runbooks.md").read_text().split("**Back**")[1].split("\n- ")[1]
    assert new == set(re.findall(r"`(TRIAGE_\w+)`", back))
