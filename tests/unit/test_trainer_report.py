import io
import math
import re
from datetime import datetime

import pytest
from rich.console import Console

from trainer.reports.document import (
    Figure,
    Section,
    Table,
    Text,
    as_json,
    html,
    provenance,
    shown,
)

SECTION = Section(
    "Clinical",
    "Every slice.",
    (Table("Any", ("figure", "value"), (("AUC <any>", "0.9"),), "by patient"),),
    (Figure("roc", "ROC", b"png"),),
)


def test_a_report_needs_nothing_beside_it():
    page = html(Text("Title", "What it is."), [SECTION])
    assert not re.findall(r"https?:|//|@import|<link|<script", page.replace("data:image/", ""))
    assert 'src="data:image/png;base64,cG5n"' in page


def test_a_report_escapes_what_it_shows():
    assert "AUC &lt;any&gt;" in html(Text("Title", ""), [SECTION])


def test_a_row_must_fit_its_head():
    with pytest.raises(ValueError, match="2 cells"):
        Table("Any", ("figure", "value"), (("AUC",),))


def test_what_can_not_be_measured_is_said_never_zero():
    table = Table("Any", ("type", "Dice"), (("SAH", shown(math.nan)),))
    assert table.rows[0][1] == "n/m"
    assert "n/m: not measurable" in table.footnote
    assert '"dice": null' in as_json({"dice": math.nan})


def test_a_figure_stands_with_its_interval():
    assert shown(0.614, (0.52, 0.7)) == "0.61 (0.52 to 0.70)"
    assert shown(0.614) == "0.61"
    assert shown(1.0, (0.997, 1.0)) == "1.00"  # nothing is certain because it is rounded
    assert shown(-0.001) == "0.00"


def test_a_caption_survives_a_pipe_and_text_in_brackets_is_not_eaten():
    out = io.StringIO()
    note = "a caption " + "that is longer than a terminal is wide " * 5 + "[bold]ends"
    Table("A [title]", ("[head]",), (("[red]",),), note).show(Console(file=out, width=60))
    assert note in out.getvalue()
    assert all(word in out.getvalue() for word in ("A [title]", "[head]", "[red]"))


def test_a_report_says_how_and_when_it_was_made():
    made = provenance()
    assert made["command"].startswith("python -m ")
    assert datetime.fromisoformat(made["date"]).tzinfo
    assert "torch" in made["versions"]
