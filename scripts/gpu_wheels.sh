#!/usr/bin/env bash
# Gather, as wheels in .gpu/wheels, what a machine with a GPU and no network lacks: scripts/gpu_wheels.txt says what.
#   bash scripts/gpu_wheels.sh          for Python 3.12 on Linux
#   bash scripts/gpu_wheels.sh 3.13     for another Python
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/environment.sh
python -m pip --version >/dev/null 2>&1 || python -m ensurepip >/dev/null # uv's environments come without it

platforms=()
for tag in manylinux_2_28 manylinux_2_27 manylinux_2_17 manylinux2014 manylinux1; do # pip matches each name exactly
    platforms+=(--platform "${tag}_x86_64")
done
folder="${GPU_FOLDER:-.gpu}"
rm -rf "$folder/wheels"
mkdir -p "$folder"
python -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --implementation cp \
    --python-version "${1:-3.12}" "${platforms[@]}" \
    --constraint constraints.txt --requirement scripts/gpu_wheels.txt --dest "$folder/wheels"
echo "$(ls "$folder/wheels" | wc -l) wheels in $folder/wheels, $(du -sk "$folder/wheels" | awk '{ printf "%.1f", $1 / 1024 }') MiB"
