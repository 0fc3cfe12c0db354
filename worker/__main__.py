"""`python -m worker`: outbox and network in an operator's hands; `celery` starts the workers."""

from pathlib import Path
from typing import Annotated

import typer

from schema.extras import of_extra
from schema.settings import settings_or_exit, stop
from worker.delivery.commands import app as deliver

# Pretty exceptions print locals, and a local may be a patient's.
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, help=__doc__)
app.add_typer(deliver, name="deliver")


@app.callback()
def main() -> None:
    """Look after what a worker leaves behind."""


@app.command("export-onnx")
def export_onnx(
    checkpoint: Annotated[
        Path | None, typer.Argument(help="Unset: TRIAGE_MODEL, or the shipped one.")
    ] = None,
) -> None:
    """Write the network as ONNX beside its checkpoint, for TRIAGE_BACKEND=onnxruntime."""
    with of_extra("worker"):  # here and not above: a delivery host has no torch
        from worker.munet.checkpoint import SHIPPED
        from worker.munet.errors import BackendError, CheckpointError
        from worker.munet.onnx_export import export

    try:
        typer.echo(export(checkpoint or settings_or_exit().model or SHIPPED))
    except (BackendError, CheckpointError) as error:
        stop(error)


if __name__ == "__main__":
    app(prog_name="python -m worker")
