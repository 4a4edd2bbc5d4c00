#!/usr/bin/env bash
# The chapter's half on points, from nothing to its tables: scripts/reproduce_biwi.sh --help
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/environment.sh
exec python scripts/reproduce.py biwi "$@"
