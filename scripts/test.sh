#!/usr/bin/env bash
# Lint, types, dependencies and tests. Arguments go to pytest: scripts/test.sh -k tables
# scripts/test.sh --lowest runs the tests on the lowest versions that pyproject.toml admits, which takes uv to find.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ "${1:-}" = --lowest ]; then
    shift
    uv venv --quiet --clear .venv-lowest
    source .venv-lowest/bin/activate
    uv pip install --quiet --resolution lowest-direct --editable '.[dev]'
    exec pytest -n "${TEST_PROCESSES:-2}" "$@"
fi
source scripts/environment.sh

ruff format --check --quiet .
ruff check --quiet .
mypy
deptry . --no-ansi
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}" # tests beside each other fight for the cores where each takes all of them
pytest -n "${TEST_PROCESSES:-2}" "$@"
