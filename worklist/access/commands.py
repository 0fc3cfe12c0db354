"""`python -m worklist user`: who may log in to the page."""

import sys
from collections.abc import Callable
from typing import Annotated, Final

import sqlalchemy as sa
import typer
from sqlalchemy.orm import Session

from schema.database import open_database
from schema.errors import TriageError
from schema.extras import of_extra
from schema.readers import Role
from schema.settings import settings_or_exit, stop
from schema.tables import User
from worklist.opening import open_to_read

# Its packages are imported where a verb needs them: `list` and `explain` run on every host.
WORKLIST: Final = "worklist"

app = typer.Typer(no_args_is_help=True, help=__doc__, pretty_exceptions_enable=False)
Name = Annotated[str, typer.Argument(help="What the person logs in with.")]
RoleOption = Annotated[
    Role,
    typer.Option(help="reader looks and agrees or not, operator also exports, admin manages."),
]
NoPassword = Annotated[bool, typer.Option("--no-password", help="Let in by single sign-on alone.")]


@app.command()
def add(name: Name, role: RoleOption, no_password: NoPassword = False) -> None:
    """Add a user, or give one another role and password; asks for it, or reads standard input."""
    with of_extra(WORKLIST):
        from worklist.access.users import add_user

    password = None if no_password else _read_password()
    _change(lambda session: add_user(session, name, role, password))
    typer.echo(f"{name} may log in as {role}")


@app.command()
def remove(name: Name) -> None:
    """Remove a user and end its sessions."""
    with of_extra(WORKLIST):
        from worklist.access.users import remove_user

    _change(lambda session: remove_user(session, name))
    typer.echo(f"{name} may log in no more")


@app.command(name="list")
def list_users() -> None:
    """Print who may log in: one line a user, with its role."""
    try:
        with open_to_read(settings_or_exit()).reading() as session:
            for user in session.scalars(sa.select(User).order_by(User.name)):
                way = "password" if user.password_hash else "single sign-on alone"
                typer.echo(f"{user.name}\t{user.role}\t{way}")
    except TriageError as error:
        stop(error)


def _change(change: Callable[[Session], object]) -> None:
    settings = settings_or_exit()
    try:
        with open_database(settings).transaction() as session:
            change(session)
    except TriageError as error:
        stop(error)


def _read_password() -> str:
    if sys.stdin.isatty():
        return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))
    return sys.stdin.readline().rstrip("\r\n")
