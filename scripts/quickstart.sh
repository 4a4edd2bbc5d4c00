#!/usr/bin/env bash
# From nothing to two trained models on drawn data: no network but the package index, no GPU. Two minutes on two CPU cores
# once everything is installed.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/environment.sh

python scripts/quickstart.py
echo "Next, score the first one's best checkpoint again, at another threshold:"
echo "  source .venv/bin/activate"
echo "  lightning-tasks validate --ckpt_path runs/pascal_sample/version_0/checkpoints/best.ckpt --model.threshold 0.2"
echo "and look at both runs in a browser:"
echo "  tensorboard --logdir runs"
