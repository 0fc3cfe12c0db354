"""`python -m worker`: the outbox in an operator's hands; workers are started by `celery`."""

import typer

from worker.delivery.commands import app as deliver

# Pretty exceptions print locals, and a local may be a patient's.
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, help=__doc__)
app.add_typer(deliver, name="deliver")


@app.callback()
def main() -> None:
    """Look after what a worker leaves behind."""


if __name__ == "__main__":
    app(prog_name="python -m worker")
