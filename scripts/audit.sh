#!/usr/bin/env bash
# Are there known vulnerabilities in the versions of constraints.txt? Asks PyPI's advisories, by pip-audit.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ ! -x .venv-audit/bin/pip-audit ]; then
    "${PYTHON:-python3}" -m venv .venv-audit
    .venv-audit/bin/python -m pip install --quiet --disable-pip-version-check 'pip-audit>=2.9'
fi
# --strict: a version that could not be looked up is no version without vulnerabilities.
.venv-audit/bin/pip-audit --strict --no-deps --disable-pip --requirement constraints.txt
