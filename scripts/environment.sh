# Sourced by the other scripts, from the project's root: makes .venv if it is not there, installs what is missing,
# and activates it. A second call finds the stamp of the same requirements and installs nothing.
if [ ! -x .venv/bin/python ]; then
    if command -v uv >/dev/null; then uv venv --quiet .venv; else "${PYTHON:-python3}" -m venv .venv; fi
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
