"""A new report names the newest one before it that is still here."""

from pathlib import Path

import pytest

from schema.tables import ResultObject
from worker.objects.newest_report import newest_report


def written(number: int, storage: Path, kind: str = "SR", audience: str = "all") -> ResultObject:
    """Make the row and the file of an object."""
    (storage / f"{number}.dcm").touch()
    return ResultObject(id=number, kind=kind, path=f"{number}.dcm", audience=audience)


def test_the_newest_report_is_found_in_any_order(tmp_path: Path) -> None:
    objects = [written(number, tmp_path) for number in (2, 3, 1)]
    assert newest_report(objects, tmp_path) == tmp_path / "3.dcm"


@pytest.mark.parametrize(("kind", "audience"), [("SC", "all"), ("SEG", "full"), ("SR", "triage")])
def test_another_object_is_no_predecessor(tmp_path: Path, kind: str, audience: str) -> None:
    report, newer = written(1, tmp_path, audience="full"), written(2, tmp_path, kind, audience)
    assert newest_report([report, newer], tmp_path) == tmp_path / "1.dcm"
    assert newest_report([newer], tmp_path) is None


def test_a_report_whose_file_is_gone_is_none(tmp_path: Path) -> None:
    report = written(1, tmp_path)
    (tmp_path / report.path).unlink()
    assert newest_report([report], tmp_path) is None
