#!/usr/bin/env bash
# Lint, types and tests. Arguments go to pytest: scripts/test.sh -k tables
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/environment.sh

ruff format --check --quiet .
ruff check --quiet .
mypy
pytest -n "${TEST_PROCESSES:-2}" "$@"
