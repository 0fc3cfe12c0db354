"""What of a list that keeps itself current goes to the audit trail."""

from worklist.access.shown import AGAIN_S, MOST_KEPT, Shown


def test_the_same_question_of_the_same_reader_is_told_again_after_a_while() -> None:
    now = [0.0]
    shown = Shown(lambda: now[0])
    assert shown.is_new("anna", "10.0.0.7", "view=all")
    assert not shown.is_new("anna", "10.0.0.7", "view=all")
    now[0] = AGAIN_S
    assert shown.is_new("anna", "10.0.0.7", "view=all")


def test_another_reader_place_or_question_is_told_at_once() -> None:
    shown = Shown()
    questions = [("anna", "a", "x"), ("ben", "a", "x"), ("anna", "b", "x"), ("anna", "a", "y")]
    assert all(shown.is_new(*question) for question in questions)


def test_what_is_remembered_is_bounded_and_nothing_goes_untold() -> None:
    shown = Shown()
    assert all(shown.is_new(str(number)) for number in range(MOST_KEPT + 1))
    assert shown.is_new("0")
