"""What no row can tell stands beside the list, in the terminal too."""

from dataclasses import replace
from datetime import timedelta

import pytest

from schema.monitoring.signs import Part
from schema.states import Outcome, StudyState
from tests.support.entries import EIGHT, ENTRY
from worklist.entries import Entry, Worklist
from worklist.text import NOTHING, list_cells, print_worklist
from worklist.warnings import EMPTY_SAYS_NOTHING, MISSING, empty_means, warnings_of

DOWN = Worklist(EIGHT, (), missing=(Part.RECEIVER, Part.TRIAGE))
LATE = Worklist(EIGHT, (), late=2, late_after=timedelta(hours=1))


def printed(worklist: Worklist, capsys: pytest.CaptureFixture[str]) -> list[str]:
    print_worklist(worklist)
    return capsys.readouterr().out.splitlines()


def received(**changes: object) -> str:
    return list_cells(replace(ENTRY, **changes))[4]  # type: ignore[arg-type]


def test_a_list_of_a_system_that_works_has_no_warning() -> None:
    assert list(warnings_of(Worklist(EIGHT, (ENTRY,)))) == []


@pytest.mark.parametrize("part", [Part.RECEIVER, Part.TRIAGE])
def test_a_part_that_is_down_is_one_warning(part: Part) -> None:
    assert list(warnings_of(replace(DOWN, missing=(part,)))) == [MISSING[part]]


@pytest.mark.parametrize(
    ("late", "said"),
    [
        (1, "1 study waits longer than 1 h 00 min for a result. Do not wait for it: read it in"),
        (2, "2 studies wait longer than 1 h 00 min for a result. Do not wait for it: read them"),
    ],
)
def test_what_waits_too_long_is_counted_with_the_sites_own_time(late: int, said: str) -> None:
    (words,) = warnings_of(replace(LATE, late=late))
    assert words.startswith(said)


def test_a_warning_can_stand_in_a_header_of_http() -> None:
    for words in warnings_of(replace(DOWN, late=1)):
        assert words.isascii()
        assert words.isprintable()


def test_an_empty_list_is_quiet_only_while_what_fills_it_works() -> None:
    assert empty_means(LATE, "quiet") == "quiet"
    assert empty_means(DOWN, "quiet") == EMPTY_SAYS_NOTHING


def test_an_empty_terminal_of_a_system_that_is_down_is_no_quiet_night(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = printed(DOWN, capsys)
    assert lines[:3] == [*MISSING.values(), EMPTY_SAYS_NOTHING]
    assert NOTHING not in lines


@pytest.mark.parametrize("entries", [(), (ENTRY,)])
def test_the_terminal_says_when_the_list_was_read(
    entries: tuple[Entry, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    last = printed(Worklist(EIGHT, entries), capsys)[-1]
    assert last.startswith("Read at 2026-03-01 08:00:00 UTC. Research software, not a medical")


def test_warnings_stand_above_the_studies_in_the_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = printed(replace(LATE, entries=(ENTRY,)), capsys)
    assert lines[0] == next(warnings_of(LATE))
    assert [line.split()[0] for line in lines[1:3]] == ["Priority", "4"]


def test_the_terminal_marks_what_nobody_has_seen_and_what_waits() -> None:
    assert received().endswith(" ago")
    assert received(escalated_at=EIGHT).endswith("ago, not seen yet")
    assert received(escalated_at=EIGHT, late=True).endswith("not seen yet, waiting too long")


def test_the_terminal_says_who_has_seen_a_result_and_nothing_of_an_earlier_one() -> None:
    seen = {"acknowledged_at": EIGHT, "acknowledged_by": "Ann\x1b"}
    assert received(unread=False, **seen).endswith("ago, seen by Ann\N{REPLACEMENT CHARACTER}")
    assert received(unread=True, **seen).endswith(" ago")


@pytest.mark.parametrize("outcome", [Outcome.POSITIVE, Outcome.NEGATIVE])
def test_the_terminal_says_that_more_of_a_study_arrives(outcome: Outcome) -> None:
    state = StudyState.RECEIVING
    entry = replace(ENTRY, state=state, outcome=None, earlier_outcome=outcome)
    assert "More images are arriving" in list_cells(entry)[-1]
