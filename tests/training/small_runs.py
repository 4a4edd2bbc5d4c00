"""Short trainings whose ends are compared to the bit."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

from lightning_tasks.__main__ import console
from tests.fakes import FLAGS, write_multilabel, write_points

ROOT = Path(__file__).parents[2]
CONF = ROOT / "conf"
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}  # of processes
N = 14
LABELS = ["fname,labels,is_valid", *(f"{i}.jpg,{'cat' if i % 2 else 'dog'},{i >= 10}" for i in range(N))]
POINTS = ["fname,is_valid,x_x,x_y", *(f"{i}.jpg,{i >= 10},{5 + i},6" for i in range(N))]
# Ten training images in batches of 3: three steps an epoch. Epoch 0 is frozen, epochs 1 and 2 are not.
PLAN = {"class_path": "FineTune", "init_args": {"epochs": 2, "freeze_epochs": 1, "base_lr": 0.01}}
STEPS, BATCHES = 9, 3


def write_data():
    write_multilabel(Path("labels"), LABELS, N)
    write_points(Path("points"), POINTS, N)


def config(*callbacks):
    path = Path("plan.yaml")
    path.write_text(yaml.safe_dump({"trainer": {"callbacks": [PLAN, *callbacks], "log_every_n_steps": 1}}))
    return str(path)


def arguments(task, *more, callbacks=()):
    base = {"labels": "multilabel.yaml", "points": "keypoints.yaml"}[task]
    small = ["--data.root", task, "--data.size", "32", "--data.batch_size", "3", "--model.pretrained", "false"]
    overlay = ["--config", config(*callbacks), "--trainer.max_epochs", "null"]
    return ["fit", "--config", str(CONF / base), *overlay, *FLAGS, *small, "--run_name", "run", *more]


def start(args, **environment):
    """Start a real process as a shell starts one in the foreground: in a group of its own, and open to Ctrl-C."""
    return subprocess.Popen(
        [sys.executable, "-m", "lightning_tasks", *args],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # tests may run in the background
        env={**ENVIRONMENT, **environment},
    )  # fmt: skip


HERE_OR_NOT = ["here", pytest.param("process", marks=pytest.mark.processes)]  # what `ended_of` may be asked


def ended_of(where, args, capsys, **environment):
    """Run the command line in this process or in one of its own; return its exit code and what it said."""
    if where == "process":
        process = start(args, **environment)
        out, error = process.communicate(timeout=120)
        return process.returncode, out, error
    capsys.readouterr()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [sys.argv[0], *args])
        for name, value in environment.items():
            patch.setenv(name, value)
        try:
            code = console(args)
        except SystemExit as left:
            code = left.code
    return code, *capsys.readouterr()


def result(version):
    return Path(f"runs/run/version_{version}/metrics.csv").read_bytes(), last(version)


def last(version):
    return torch.load(f"runs/run/version_{version}/checkpoints/last.ckpt", weights_only=True)


def assert_same(first, second):
    assert first[0].decode() == second[0].decode()
    a, b = first[1], second[1]
    assert a["state_dict"].keys() == b["state_dict"].keys()
    assert all(torch.equal(value, b["state_dict"][key]) for key, value in a["state_dict"].items())
    for one, other in zip(a["optimizer_states"], b["optimizer_states"], strict=True):
        assert one["param_groups"] == other["param_groups"]
        for key, state in one["state"].items():
            assert all(torch.equal(value, other["state"][key][name]) for name, value in state.items())
