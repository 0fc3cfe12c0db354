"""Command line of the trainer: each verb parses, calls one function and prints its outcome."""

import typer

from trainer.verbs.judging import ablate, crossval, evaluate
from trainer.verbs.making import fit, prepare, ship, smote

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Train and judge MUNet on CT-ICH."
)

for verb in (prepare, smote, fit, ship, evaluate, crossval, ablate):
    app.command()(verb)
