"""The command that draws bleeds to look at, before anybody trains on them."""

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import track

from trainer.commands.making import prepared_split
from trainer.commands.options import CACHE, Cache, Data, Patients, Preset, console, told
from trainer.reports.document import write_bytes
from trainer.reports.synthetic_bleeds import bleeds_sheet, measures
from trainer.training.synthetic.trial import tried


def synthetic(
    data: Data,
    preset: Preset = "best",
    held_out: Patients = "",
    seed: Annotated[int, typer.Option(help="Other places and other bleeds.")] = 0,
    out: Annotated[Path, typer.Option(help="The contact sheet, PNG.")] = Path("var/synthetic.png"),
    cache: Cache = CACHE,
) -> None:
    """Draw each type of bleed into each training head; print measures and draw a contact sheet."""
    with told():
        config, prepared, parts = prepared_split(data, preset, held_out, "", cache)
        drawing = tried(prepared, parts.train, config.preprocessing, seed)
        heads = list(track(drawing, "Drawing", len(parts.train), console=console))
        measures(heads).show(console)
        write_bytes(out, bleeds_sheet(heads, config.preprocessing).png)
        console.print(f"{out} written")
