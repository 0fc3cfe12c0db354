"""Command line of the trainer: each command parses, calls one function and prints its outcome."""

import typer

from trainer.commands.drawing import synthetic
from trainer.commands.evaluating import ablate, crossval, evaluate, leak
from trainer.commands.making import calibrate, export, fit, prepare, ship, smote
from trainer.commands.measuring import measure

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Train and evaluate MUNet on CT-ICH."
)

for command in (
    prepare, smote, synthetic, fit, export, ship, measure, calibrate,
    evaluate, crossval, ablate, leak,
):  # fmt: skip
    app.command()(command)
