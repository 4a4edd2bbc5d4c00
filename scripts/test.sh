#!/usr/bin/env bash
# Lint, types, dependencies and the tests that are quick enough to run at every change.
# Arguments go to pytest: scripts/test.sh -k tables
# scripts/test.sh --all also runs the tests marked slow, processes and browser (pyproject.toml says what these are).
# scripts/test.sh --lowest [--all] runs the tests on the lowest versions that pyproject.toml admits, which takes uv to find.
set -euo pipefail
cd "$(dirname "$0")/.."

lowest=false
chosen=(--hypothesis-profile quick -m "not slow and not processes and not browser") # an -m among the arguments comes later, and counts
while [[ "${1:-}" == --all || "${1:-}" == --lowest ]]; do
    if [ "$1" = --all ]; then chosen=(); else lowest=true; fi
    shift
done
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}" # tests beside each other fight for the cores where each takes all of them

if $lowest; then
    uv venv --quiet --clear .venv-lowest
    source .venv-lowest/bin/activate
    uv pip install --quiet --resolution lowest-direct --editable '.[dev]'
else
    source scripts/environment.sh
    ruff format --check --quiet .
    ruff check --quiet .
    mypy
    deptry . --no-ansi
fi
exec pytest -n "${TEST_PROCESSES:-2}" --dist worksteal "${chosen[@]}" "$@"
