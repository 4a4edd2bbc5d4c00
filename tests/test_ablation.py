"""An ablation: its steps trained and scored as processes, its table, and more steps added to it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import timm
import torch
import yaml

from tests.fakes import draw_pascal

ROOT = Path(__file__).parents[1]
STEPS = [
    {"name": "the book's head, 64 px", "seeds": 2},
    {"name": "mirrored", "over": "the book's head, 64 px", "args": "--model.flip_tta true", "evaluate": True},
]


@pytest.fixture
def folder(tmp_path):
    draw_pascal(tmp_path / "pascal")
    torch.save(timm.create_model("test_resnet").state_dict(), tmp_path / "weights.pth")
    return tmp_path


def ablate(folder, steps, code=0):
    args = (
        "--model.backbone test_resnet --data.size 64 --data.num_workers 0 --data.batch_size 32 "
        "--trainer.accelerator cpu --trainer.max_epochs 1"
    )
    plan = {"config": "pascal.yaml", "score": "val/mAP", "args": args, "steps": steps}
    (folder / "plan.yaml").write_text(yaml.safe_dump(plan))
    given = ["--folder", "out", "--root", "pascal", "--weights", "weights.pth"]
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "ablation.py"), "plan.yaml", *given],
        capture_output=True, text=True, cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    return done


def test_steps_are_trained_scored_and_added_to(folder):
    ablate(folder, STEPS[:1])
    done = ablate(folder, STEPS)
    assert "== the_book_s_head_64_px" not in done.stdout  # they are there
    assert "== mirrored_42" in done.stdout
    results = json.loads((folder / "out" / "results.json").read_text())
    plain, mirrored = results["steps"]
    assert len(plain["scores"]) == 2
    assert plain["scores"][0] != plain["scores"][1]
    assert mirrored["scores"][0] != plain["scores"][0]
    assert mirrored["scores"][0] == pytest.approx(plain["scores"][0], abs=0.2)
    table = (folder / "out" / "table.md").read_text().splitlines()
    assert table[2].startswith(f"| the book's head, 64 px |  | {plain['median']:.4f} ({min(plain['scores']):.4f}–")
    assert f"| {mirrored['scores'][0] - plain['median']:+.4f} | 1 | 0 |" in table[3]


def test_a_step_that_builds_on_nothing_is_refused(folder):
    done = ablate(folder, [{"name": "a", "over": "b"}], code=1)
    assert "'a' builds on 'b', which is no step before it" in done.stderr
