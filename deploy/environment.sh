# Sourced by the start scripts: makes .venv from the pinned set once, and says what it waits for.
# A change of the pins, of pyproject.toml or of Python makes it anew.

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
cd "$root" || exit 1

fail() {
    printf 'ihsnet-triage: %s\n' "$1" >&2
    exit 1
}

find_python() {
    local name
    for name in python3.11 python3 python3.12 python3.13 python; do
        if "$name" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null; then
            command -v "$name"
            return
        fi
    done
    return 1
}

stamp() {
    cat pyproject.toml deploy/constraints.txt <("$1" --version) | cksum
}

make_environment() {
    local python
    # No stamp: somebody else made it, as docs/operations.md does, and services may run from it.
    [ ! -e .venv ] || [ -e .venv/stamp ] \
        || fail "$root/.venv was not made by the start scripts, which would empty it; run them in another checkout, or remove it if nothing runs from it"
    python="$(find_python)" || fail "Python 3.11 to 3.13 is needed and none was found; install it and run this again"
    if [ -x .venv/bin/python ] && [ "$(cat .venv/stamp 2>/dev/null)" = "$(stamp "$python")" ]; then
        return
    fi
    "$python" -c 'import ensurepip, venv' 2>/dev/null \
        || fail "Python's venv module is missing; on Debian: apt-get install python3-venv"
    printf 'Installing the pinned set into .venv (once; a few minutes)\n' >&2
    "$python" -m venv --clear .venv || fail "cannot make .venv in $root"
    : >.venv/stamp  # ours, and not ready yet
    .venv/bin/python -m pip install --disable-pip-version-check --progress-bar on \
        --constraint deploy/constraints.txt --editable '.[test]' >&2 \
        || fail "installation failed; the lines above say why"
    stamp "$python" >.venv/stamp
}

make_environment
export PATH="$root/.venv/bin:$PATH"
