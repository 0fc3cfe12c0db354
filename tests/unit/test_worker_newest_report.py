"""A new report names the newest one before it that is still here."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from schema.tables import ResultObject
from worker.objects.newest_report import newest_reports


def written(number: int, storage: Path, kind: str = "SR", audience: str = "all") -> ResultObject:
    """Make the row and the file of an object."""
    content = str(number).encode()
    (storage / f"{number}.dcm").write_bytes(content)
    values = {"kind": kind, "path": f"{number}.dcm", "audience": audience}
    return ResultObject(id=number, sha256=hashlib.sha256(content).hexdigest(), **values)


def test_the_newest_report_is_found_in_any_order(tmp_path: Path) -> None:
    objects = [written(number, tmp_path) for number in (2, 3, 1)]
    newest = dict.fromkeys(("full", "triage"), tmp_path / "3.dcm")
    assert newest_reports(objects, tmp_path) == newest


@pytest.mark.parametrize(("kind", "audience"), [("SC", "all"), ("SEG", "full")])
def test_another_object_is_no_predecessor(tmp_path: Path, kind: str, audience: str) -> None:
    report, newer = written(1, tmp_path, audience="full"), written(2, tmp_path, kind, audience)
    assert newest_reports([report, newer], tmp_path) == {"full": tmp_path / "1.dcm"}
    assert newest_reports([newer], tmp_path) == {}


def test_each_audience_has_the_newest_that_it_was_sent(tmp_path: Path) -> None:
    reports = [written(number, tmp_path, "SR", who) for number, who in enumerate(("all", "full"))]
    newest = {"triage": tmp_path / "0.dcm", "full": tmp_path / "1.dcm"}
    assert newest_reports(reports, tmp_path) == newest


def damage(path: Path) -> None:
    path.write_bytes(b"half")


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [(Path.unlink, "No such file or directory"), (damage, "damaged, not what was written")],
)
def test_a_report_whose_file_is_gone_or_damaged_is_none_and_the_log_names_it(
    tmp_path: Path, spoil: Callable[[Path], None], reason: str
) -> None:
    report = written(1, tmp_path)
    spoil(tmp_path / report.path)
    with capture_logs() as logged:
        assert newest_reports([report], tmp_path) == {}
    assert [(line["file"], line["reason"]) for line in logged] == [("1.dcm", reason)]
