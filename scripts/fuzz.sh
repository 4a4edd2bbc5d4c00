#!/usr/bin/env bash
# The tests that throw random files at every reader, with many times the suite's cases: scripts/fuzz.sh [TIMES]
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/environment.sh
LIGHTNING_TASKS_FUZZ="${1:-50}" exec pytest -n "${TEST_PROCESSES:-2}" tests/test_fuzz.py
