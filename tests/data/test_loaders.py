"""The processes that load outlive the signals that a terminal sends to all of a process group."""

import subprocess
import sys

import pytest

SCRIPT = """
import os, signal
from lightning_tasks.data.loaders import make_loader

class Numbers:
    def __getitem__(self, index):
        return index.row

os.register_at_fork(after_in_child=lambda: os.kill(os.getpid(), signal.{number}))  # as early as can be
loader = make_loader(Numbers(), list, n=5, training=False, batch_size=2, num_workers=2, seed=0, rank=0, world_size=1)
for _ in range(2):
    assert list(loader) == [[0, 1], [2, 3], [4]]
"""


@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM"])
def test_a_signal_at_a_workers_birth_does_not_end_it(number):
    made = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(number=number)], capture_output=True, text=True, timeout=120, check=False
    )
    assert made.returncode == 0, made.stderr
    assert made.stderr == ""
