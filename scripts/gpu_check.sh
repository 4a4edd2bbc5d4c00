#!/usr/bin/env bash
# Check the whole project on a GPU, by itself and without a network, in nine minutes. On a machine that has a network, first:
#   bash scripts/gpu_wheels.sh
#   python scripts/gpu_pack.py --pascal FOLDER --points FOLDER --weights FILE
# Then, with the checkout and its folder .gpu on the machine with the GPU, whose Python has torch:
#   bash scripts/gpu_check.sh [--output FOLDER] [--steps NAME ...]
# On a machine that has just started each first use of a library takes seconds: where it is lent for a quarter of an hour,
# two calls with --steps get further than one. A second call keeps what the first one found, if it finds its gpu.json.
# It writes gpu.json, gpu.txt (a table) and gpu.log into results/, anew after every step.
# Tried from end to end without a GPU: bash scripts/gpu_check.sh --device cpu --tiny
set -uo pipefail
began=$(date +%s)
cd "$(dirname "$0")/.."
python="${PYTHON:-python3}"
folder="${GPU_FOLDER:-.gpu}"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$python" -m pip install --quiet --disable-pip-version-check --no-index --no-deps --no-compile --no-cache-dir \
    --target "$work/site" "$folder"/wheels/*.whl || exit 2
export PYTHONPATH="$work/site:$PWD:$PWD/scripts" PYTHONUNBUFFERED=1
"$python" scripts/gpu_check.py --pack "$folder/pack.zip" --began "$began" --work "$work" "$@"
