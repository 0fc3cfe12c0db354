"""The table of words: what is found in a name, and how a site adds its own."""

from pathlib import Path

import pytest

from receiver.selection.names import agent_given, energy_kev, read
from receiver.selection.rules import load_rules
from receiver.selection.tokens import tokens_of
from receiver.selection.words import Kind, Sharpness, load_words
from schema.errors import SettingsError

WORDS = load_words()
SHIPPED = [(entry.kind, name, True) for entry in WORDS.entries for name in entry.examples]
LOOK_ALIKE = [(entry.kind, name, False) for entry in WORDS.entries for name in entry.not_in]

SITE = """
version = "hospital 1"
[[entries]]
kind = "plain"
words = ["spoed"]
examples = ["HERSENEN SPOED"]
[[kernels]]
vendor = "ours"
sharpness = "soft"
patterns = ['^ZX-1']
examples = ["ZX-17"]
"""


def added(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "words.toml"
    path.write_text(text, "utf-8")
    return path


@pytest.mark.parametrize(("kind", "name", "found"), SHIPPED + LOOK_ALIKE)
def test_each_example_of_the_table_is_read_as_it_says(kind: Kind, name: str, found: bool) -> None:
    assert any(kind in mark.kinds for mark in WORDS.marks_in(name)) is found


@pytest.mark.parametrize(
    ("sharpness", "name"),
    [(kernel.sharpness, name) for kernel in WORDS.kernels for name in kernel.examples],
)
def test_each_kernel_of_the_table_is_ranked_as_it_says(sharpness: Sharpness, name: str) -> None:
    assert WORDS.sharpness_of(name) is sharpness


@pytest.mark.parametrize(
    ("name", "tokens"),
    [
        ("HeadRoutine_5MM", ["head", "routine", "5", "mm"]),
        ("CTHead", ["ct", "head"]),
        ("CTHEAD", ["ct", "head"]),
        ("Schädel ohne i.v. KM", ["schadel", "ohne", "i", "v", "km"]),
        ("non-contrast", ["non", "contrast"]),
        ("C- 5.0", ["c", "-", "5.0"]),
        ("70keV", ["70", "kev"]),
        ("ＨＥＡＤ Ｗ／Ｏ", ["head", "w", "/", "o"]),  # noqa: RUF001 - full width, as in Japan
        ("头颅CT平扫", ["头", "颅", "ct", "平", "扫"]),
    ],
)
def test_a_name_is_taken_apart_into_words(name: str, tokens: list[str]) -> None:
    assert tokens_of(name) == tokens


@pytest.mark.parametrize("value", ["", "-", "NONE", "NONE IV", "No", "N IV", "0", "w/o", "ORAL"])
def test_a_contrast_agent_that_means_none_is_none(value: str) -> None:
    assert not agent_given(WORDS, value)


@pytest.mark.parametrize("value", ["Ultravist 80 mL IV", "ORAL & IV", "Y", "80 mL", "APPLIED"])
def test_any_other_contrast_agent_was_given(value: str) -> None:
    assert agent_given(WORDS, value)


@pytest.mark.parametrize(
    "name", ["HEAD W/WO", "W & W/O CON", "mit und ohne KM", "nativ und KM", "単純+造影"]
)
def test_a_name_of_two_phases_says_both(name: str) -> None:
    contrast = read(WORDS, name).contrast
    assert contrast.given
    assert contrast.denied


def test_the_energy_of_a_virtual_image_is_read() -> None:
    assert [energy_kev(name) for name in ("Mono+ 70", "40 keV", "VMI_60", "Head 5.0")] == [
        70,
        40,
        60,
        None,
    ]


def test_a_site_adds_words_and_kernels(tmp_path: Path) -> None:
    words = load_words(added(tmp_path, SITE))
    assert read(words, "HERSENEN SPOED").contrast.denied == "spoed"
    assert read(words, "HEAD W/O").contrast.denied == "w / o"
    assert words.sharpness_of("ZX-17") is Sharpness.SOFT


def test_the_version_names_the_words_of_the_site(tmp_path: Path) -> None:
    rules = load_rules(words=added(tmp_path, SITE))
    assert rules.versions == f"{rules.version} words {WORDS.version}+hospital 1"


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ('kind = "plain"', 'kind = "plane"', "entries.0.kind"),
        ('examples = ["HERSENEN SPOED"]', "examples = []", "entries.0.examples"),
        ('words = ["spoed"]', 'words = ["..."]', "has neither letter, number nor sign"),
        ('words = ["spoed"]', 'words = ["snel"]', "'HERSENEN SPOED' is not read as plain"),
        ("'^ZX-1'", "'('", "bad pattern '('"),
        ("'^ZX-1'", "'^ZY'", "kernel 'ZX-17' is read as unknown, not soft"),
        ('version = "hospital 1"', "", "version"),
        ('version = "hospital 1"', "version = ", "compare it with the shipped one"),
    ],
)
def test_a_mistake_in_the_words_of_a_site_is_named(
    tmp_path: Path, old: str, new: str, named: str
) -> None:
    assert old in SITE
    path = added(tmp_path, SITE.replace(old, new, 1))
    with pytest.raises(SettingsError) as caught:
        load_words(path)
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)


def test_words_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="put the table of words there"):
        load_words(tmp_path / "none.toml")
