"""The processes that load outlive the signals that a terminal sends to all of a process group, but not their parent."""

import signal
import subprocess
import sys

import pytest

FORKED = "import multiprocessing; multiprocessing.set_start_method('fork')"  # whose hooks tell when

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
print("loaded")
"""

STUCK = """
import os, signal, threading, time
from lightning_tasks.data.loaders import make_loader

class Stuck:
    def __getitem__(self, index):
        time.sleep(1000)

loader = make_loader(Stuck(), list, n=5, training=False, batch_size=2, num_workers=2, seed=0, rank=0, world_size=1)
now = threading.Event()

def interrupt():  # in another thread, whose mask is its own
    now.wait()
    signal.raise_signal(signal.SIGINT)

threading.Thread(target=interrupt).start()
{when}
next(iter(loader))
"""


@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM"])
def test_a_signal_at_a_workers_birth_does_not_end_it(number):
    made = run(SCRIPT.format(number=number))
    assert (made.returncode, made.stdout) == (0, "loaded\n"), made.stderr
    assert "Traceback" not in made.stderr


@pytest.mark.parametrize(
    "when",
    [
        "threading.Timer(2, now.set).start()",
        "os.register_at_fork(after_in_parent=now.set)",
    ],
    ids=["while_they_work", "while_they_are_started"],
)
def test_workers_that_are_stuck_do_not_hold_up_the_end(when):
    made = run(STUCK.format(when=when))
    assert made.returncode == -signal.SIGINT
    assert made.stderr.strip().endswith("KeyboardInterrupt")


def run(script):
    return subprocess.run(
        [sys.executable, "-c", f"{FORKED}
{script}"], capture_output=True, text=True, timeout=120, check=False,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # tests may run in the background
    )  # fmt: skip
