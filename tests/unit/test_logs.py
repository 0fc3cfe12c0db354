"""What a log line says: the keys of its study and job, and nothing again and again."""

import ast
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from schema.log import POLLING, set_up_log
from schema.settings import Settings

ROOT = Path(__file__).parents[2]
LEVELS = ("debug", "info", "warning", "error", "exception", "log")
ABOUT = ("job", "study ", "delivered", "given up", "stated as not analysed")
# No job was taken: there is none to name. Of a whole database, or of whoever calls.
WITHOUT = {
    "commitment report undelivered",  # "delivered" of another thing
    "study analysed",  # its keys are bound
    "storage is away, no job is taken",
    "database is away, the job is left to its lease",
    "result dropped",
    "cannot look for orphaned jobs",
}


def lines() -> Iterator[tuple[str, str, set[str]]]:
    """Give each line that receiver, worker and schema log: place, message, keywords."""
    for part in ("receiver", "worker", "schema"):
        for path in sorted((ROOT / part).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and (message := logged(node)) is not None:
                    given = {word.arg or ast.unparse(word.value) for word in node.keywords}
                    yield f"{path.relative_to(ROOT)}:{node.lineno}", message, given


def logged(call: ast.Call) -> str | None:
    """Give the message of a call that logs."""
    function = call.func
    if not isinstance(function, ast.Attribute) or function.attr not in LEVELS:
        return None
    if not isinstance(function.value, ast.Name) or function.value.id != "log":
        return None
    texts = [word.value for word in call.args if isinstance(word, ast.Constant)]
    return next((text for text in texts if isinstance(text, str)), "")


def test_every_line_about_a_study_or_a_job_has_its_keys() -> None:
    missing = [
        f"{place}: {message}"
        for place, message, given in lines()
        if any(word in message for word in ABOUT) and message not in WITHOUT
        if not ("study" in given or any("keys(" in word for word in given))
    ]
    assert missing == []


def test_the_work_on_a_job_binds_its_keys_for_every_line_below() -> None:
    text = (ROOT / "worker" / "tasks.py").read_text()
    assert "bound_contextvars(**keys(lease), attempt=lease.attempt)" in text


@pytest.mark.parametrize("name", POLLING)
def test_what_is_logged_for_each_message_and_request_is_for_debug(name: str) -> None:
    root, level = logging.getLogger(), logging.getLogger(name).level
    before, handlers = root.level, root.handlers[:]
    try:
        set_up_log(Settings(_env_file=None, log_level="INFO"))
        assert not logging.getLogger(name).isEnabledFor(logging.INFO)
        set_up_log(Settings(_env_file=None, log_level="DEBUG"))
        assert logging.getLogger(name).isEnabledFor(logging.INFO)
    finally:
        logging.captureWarnings(capture=False)
        logging.getLogger(name).setLevel(level)
        root.handlers[:] = handlers
        root.setLevel(before)
