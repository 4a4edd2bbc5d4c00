#!/usr/bin/env bash
# From nothing to two trained models on drawn data: no network but the package index, no GPU.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/environment.sh

started=$SECONDS
for task in pascal biwi; do
    echo
    echo "== $task, on drawn data"
    lightning-tasks prepare --config "${task}_sample"
    lightning-tasks fit --config "${task}_sample"
done
echo
echo "Both tasks took $((SECONDS - started)) s. Next, score the first one's best checkpoint again, at another threshold:"
echo "  source .venv/bin/activate"
echo "  lightning-tasks validate --ckpt_path runs/pascal_sample/version_0/checkpoints/best.ckpt --model.threshold 0.2"
echo "and look at both runs in a browser:"
echo "  tensorboard --logdir runs"
