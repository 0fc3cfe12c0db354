"""The rule file: a bad one is one line that names the file and the key."""

from pathlib import Path

import pytest

from receiver.selection.rules import SHIPPED, load_rules
from schema.errors import SettingsError

GOOD = SHIPPED.read_text("utf-8")


def refusal(tmp_path: Path, text: str) -> str:
    path = tmp_path / "mine.toml"
    path.write_text(text, "utf-8")
    with pytest.raises(SettingsError) as caught:
        load_rules(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_shipped_file_loads_and_has_a_version() -> None:
    assert load_rules().version


def test_a_file_of_ones_own_is_read(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(GOOD.replace("min_slices = 6", "min_slices = 12"), "utf-8")
    assert load_rules(path).stack.min_slices == 12


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("min_slices = 6", "min_slice = 8", "stack.min_slice"),
        ("min_slices = 6", "min_slices = 'eight'", "stack.min_slices"),
        ("min_slices = 6", "min_slices = 0", "stack.min_slices"),
        ("max_extent_mm = 350.0", "max_extent_mm = nan", "stack.max_extent_mm"),
        ("head = 3.0", "", "hints.head"),
        ("[hints]", "[hint]", "hint"),
        ('version = "4"', 'version = ""', "version"),
        ('version = "4"', "version = 3", "version"),
        ("{ up_to_mm = 0.9, points = 0.0 }", "{ up_to = 0.9, points = 0.0 }", "score.steps.0"),
    ],
)
def test_a_bad_key_or_value_is_named(tmp_path: Path, old: str, new: str, named: str) -> None:
    assert old in GOOD
    assert named in refusal(tmp_path, GOOD.replace(old, new, 1))


def test_what_is_no_toml_is_refused(tmp_path: Path) -> None:
    assert "compare it with the shipped one" in refusal(tmp_path, "version = ")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="put the selection rules there"):
        load_rules(tmp_path / "none.toml")
