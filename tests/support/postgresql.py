"""The PostgreSQL server of the tests, which comes in a wheel."""

import os
import shutil

import pytest


def require_useradd() -> None:
    """As root the server runs as a user that it adds; root's PATH may lack where that is done."""
    if os.geteuid() == 0 and shutil.which("useradd") is None:
        os.environ["PATH"] += ":/usr/sbin:/sbin"
        if shutil.which("useradd") is None:
            pytest.fail(
                "PostgreSQL does not run as root and there is no useradd in PATH or /usr/sbin;"
                " install it (Debian: passwd) or run the tests as another user",
                pytrace=False,
            )
