"""What a command says that is stopped with Ctrl-C."""

import pytest
from typer.testing import CliRunner

from trainer.cli import app
from trainer.commands import drawing, evaluating, making, measuring, options

WORDS = {
    **dict.fromkeys(["fit", "crossval", "ablate", "leak"], options.EPOCHS),
    "ship": options.ANSWERS,
    **dict.fromkeys(["prepare", "smote", "synthetic", "evaluate", "measure"], "Nothing is kept."),
}


@pytest.mark.parametrize(("command", "words"), WORDS.items())
def test_who_stops_a_command_hears_what_is_kept(monkeypatch, tmp_path, command, words):
    def stopped(*_):
        raise KeyboardInterrupt

    for module in (drawing, evaluating, making, measuring):
        for name in ("release_of", "read_release", "prepared_split"):
            monkeypatch.setattr(module, name, stopped, raising=False)
    options_of = ["--data", tmp_path]
    options_of += ["--run", tmp_path] if command in ("fit", "crossval", "ablate", "leak") else []
    options_of += ["--run", tmp_path] if command == "ship" else []
    options_of += ["--out", tmp_path / "x"] if command in ("ship", "measure") else []
    done = CliRunner().invoke(app, [command, *map(str, options_of)])
    assert done.exit_code == 130, done.output
    assert f"Stopped. {words}" in done.output
