"""Tables and figures, shown in a terminal or as one HTML file that needs nothing beside it."""

import base64
import json
import math
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jinja2
from rich.console import Console
from rich.table import Table as Printed
from rich.text import Text as Plain  # what is in brackets is no markup

TEMPLATES = Path(__file__).with_name("templates")
VERSIONS = ("ihsnet-triage", "torch", "numpy", "opencv-python-headless")
UNKNOWN = "n/m"  # a figure without a case behind it: never 0
FOOTNOTE = "n/m: not measurable, there is no case."


@dataclass(frozen=True)
class Table:
    """Rows of text under a title; the note says what a reader must know to read them."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""

    def __post_init__(self) -> None:
        """Refuse a row that does not fit its head."""
        if any(len(row) != len(self.head) for row in self.rows):
            raise ValueError(f"{self.title}: each row needs {len(self.head)} cells: {self.rows}")

    @property
    def footnote(self) -> str:
        """The note, and what a cell without a figure means."""
        missing = any(UNKNOWN in row for row in self.rows)
        return f"{self.note} {FOOTNOTE}".strip() if missing else self.note

    def printed(self) -> Printed:
        """Return the table for a terminal; its footnote would be folded to its width."""
        made = Printed(title=Plain(self.title))
        for name in self.head:
            made.add_column(Plain(name))
        for row in self.rows:
            made.add_row(*map(Plain, row))
        return made

    def show(self, out: Console) -> None:
        """Print the table, and its footnote as one line that a pipe keeps."""
        out.print(self.printed())
        if self.footnote:
            out.print(self.footnote, soft_wrap=True, markup=False, highlight=False)


@dataclass(frozen=True)
class Figure:
    """A picture with its caption."""

    name: str  # of its file, without .png
    caption: str
    png: bytes

    @property
    def inlined(self) -> str:
        """The picture as text, for an HTML file."""
        return base64.b64encode(self.png).decode()


@dataclass(frozen=True)
class Section:
    """One part of a report. A protocol has a section of its own, so that no table mixes two."""

    title: str
    text: str = ""
    tables: tuple[Table, ...] = ()
    figures: tuple[Figure, ...] = ()


@dataclass(frozen=True)
class Text:
    """What stands above a report."""

    title: str
    text: str


@dataclass(frozen=True)
class Files:
    """Where a report goes: figures as JSON, and all of it as HTML."""

    json: Path | None
    html: Path | None


def publish(
    sections: Sequence[Section], text: Text, figures: Mapping[str, Any], files: Files, out: Console
) -> None:
    """Print the tables, and write JSON and HTML, the pictures beside the HTML as PNG too."""
    origin = provenance()
    whence = " ".join(f"{name}: {value}." for name, value in origin.items())
    text = Text(text.title, f"{text.text} {whence}")
    out.print(f"{text.title}. {text.text}", soft_wrap=True, markup=False, highlight=False)
    for section in sections:
        for table in section.tables:
            table.show(out)
    if files.json:
        write(files.json, as_json({**figures, "made": origin}))
    if files.html:
        write(files.html, html(text, sections))
        write_figures(sections, files.html.with_name(f"{files.html.stem}-figures"))
    written = (f"{path} written" for path in (files.json, files.html) if path)
    out.print("\n".join(written), soft_wrap=True, markup=False, highlight=False)


def provenance() -> dict[str, str]:
    """Say which command made a report, when, and with which versions."""
    program = Path(sys.argv[0]).parent.name if sys.argv[0].endswith("__main__.py") else sys.argv[0]
    return {
        "command": f"python -m {program} {shlex.join(sys.argv[1:])}",
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": ", ".join(f"{name} {version(name)}" for name in VERSIONS),
    }


def as_json(figures: Mapping[str, Any]) -> str:
    """JSON in which a figure that can't be measured is null: JSON knows no NaN."""
    return json.dumps(_known(figures), indent=1, allow_nan=False) + "\n"


def _known(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _known(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_known(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def write(path: Path, text: str) -> None:
    """Write a text in one step."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    part.write_bytes(data)
    part.replace(path)


def html(text: Text, sections: Sequence[Section]) -> str:
    """Render a report: styles and pictures are in it, nothing is loaded."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined
    )
    page = environment.get_template("report.html")
    return page.render(title=text.title, text=text.text, sections=sections)


def write_figures(sections: Sequence[Section], folder: Path) -> None:
    """Write every figure as PNG; a report without any makes no folder."""
    for section in sections:
        for figure in section.figures:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{figure.name}.png").write_bytes(figure.png)


def shown(value: float, interval: Sequence[float] = (), digits: int = 2) -> str:
    """Write a figure with its interval, as 0.61 (0.52 to 0.70)."""
    if math.isnan(value):
        return UNKNOWN
    text = f"{value:.{digits}f}"
    text = text.removeprefix("-") if float(text) == 0 else text
    ends = [f"{end:.{digits}f}" for end in interval]
    if len(set(ends)) == 2:  # one that is a point as it is written tells nothing
        text += f" ({ends[0]} to {ends[1]})"
    return text
