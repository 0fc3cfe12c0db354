"""What the files of deploy/ may name: settings, programs of ours and queues."""

import importlib
import importlib.util
from collections.abc import Sequence

from schema.bare_environment import PREFIX
from schema.messages import DELIVER_QUEUE, TRIAGE_QUEUE
from schema.secret_files import FILE_NAMES
from schema.settings import Settings

SETTINGS = FILE_NAMES | {PREFIX + name.upper() for name in Settings.model_fields}


def unknown_settings(names: Sequence[str]) -> list[str]:
    """Give the TRIAGE_ names among them that no program of ours reads."""
    return [name for name in names if name.startswith(PREFIX) and name not in SETTINGS]


def is_ours(command: Sequence[str]) -> bool:
    """Say whether a command line starts a program of ours that exists."""
    match [command[0].rpartition("/")[2], *command[1:]]:
        case ["python", "-m", module, *verb]:
            return importlib.util.find_spec(module) is not None and _has(module, verb)
        case ["celery", "-A", "worker", "worker", "-Q", queue, *_]:
            return queue in (TRIAGE_QUEUE, DELIVER_QUEUE)
    return False


def _has(module: str, verb: Sequence[str]) -> bool:
    program = importlib.import_module(f"{module}.__main__")
    if not verb:
        return True
    names = {
        command.name or command.callback.__name__ for command in program.app.registered_commands
    }
    return verb[0] in names
