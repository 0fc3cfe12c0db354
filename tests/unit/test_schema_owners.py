import os
import subprocess
import sys

import pytest

from schema.owners import is_gone, this_process


def test_this_process_is_here() -> None:
    assert not is_gone(this_process())


def test_a_process_that_nobody_has_waited_for_yet_is_gone() -> None:
    say = "from schema.owners import this_process; print(this_process())"
    with subprocess.Popen([sys.executable, "-c", say], stdout=subprocess.PIPE, text=True) as ended:
        assert ended.stdout is not None
        owner = ended.stdout.read().strip()
        os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
        assert is_gone(owner)


def test_another_process_under_the_number_of_the_owner_is_not_the_owner() -> None:
    host, number, _, realm = this_process().split(":")
    assert is_gone(f"{host}:{number}:1:{realm}")


@pytest.mark.parametrize("owner", [None, "", "elsewhere:1:1:x", "{host}:1", "{host}:1:1:container"])
def test_what_this_host_cannot_see_is_left_to_its_lease(owner: str | None) -> None:
    host = this_process().partition(":")[0]
    assert not is_gone(owner and owner.replace("{host}", host))
