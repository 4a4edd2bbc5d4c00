# Sourced by the other scripts, from the project's root: makes .venv if it is not there, installs what is missing,
# and activates it. A second call finds the stamp of the same requirements and installs nothing.
if [ ! -x .venv/bin/python ] || [ ! -f .venv/bin/activate ]; then # the second: of a venv that was not finished
    python=${PYTHON:-python3}
    rm -rf .venv
    if command -v uv >/dev/null; then
        uv venv --quiet ${PYTHON:+--python "$PYTHON"} .venv # it finds one of pyproject.toml's versions, or fetches it
    elif ! command -v "$python" >/dev/null; then
        echo "error: there is no $python. Install Python 3.11 to 3.14, or name it: PYTHON=python3.12 bash $0" >&2
        exit 2
    elif ! "$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))'; then
        echo "error: Python 3.11 to 3.14 is needed; $python is $("$python" --version 2>&1). Name another:" \
            "PYTHON=python3.12 bash $0" >&2
        exit 2
    elif ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        echo "error: $python cannot make an environment: Debian and Ubuntu put that into a package of its own." \
            "apt-get install python3-venv, or install uv, then call bash $0 again." >&2
        exit 2
    else
        "$python" -m venv .venv
    fi
fi
source .venv/bin/activate

requirements=$(cat pyproject.toml constraints.txt | cksum)
if [ "$(cat .venv/requirements.cksum 2>/dev/null)" != "$requirements" ]; then
    echo "Installing into .venv (a few minutes with pip the first time, most of it for torch) ..."
    if command -v uv >/dev/null; then
        uv pip install --quiet --constraint constraints.txt --editable '.[dev]'
    else
        python -m pip --version >/dev/null 2>&1 || python -m ensurepip >/dev/null # uv's environments come without it
        python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
    fi
    echo "$requirements" >.venv/requirements.cksum
fi
