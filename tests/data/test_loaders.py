"""The processes that load outlive the signals that a terminal sends to all of a process group, but not their parent."""

import os
import signal
import subprocess
import sys

import pytest

from lightning_tasks.data.loading.dataloader import make_loader
from lightning_tasks.errors import ConfigError

FORKED = "import multiprocessing; multiprocessing.set_start_method('fork')"  # whose hooks tell when
AT_BIRTH = []  # what each forked process does first; what is registered stays registered
os.register_at_fork(after_in_child=lambda: [act() for act in AT_BIRTH])

SCRIPT = """
import os, signal
from lightning_tasks.data.loading.dataloader import make_loader

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
from lightning_tasks.data.loading.dataloader import make_loader

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


class Numbers:
    def __getitem__(self, index):
        return index.row


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_workers_load_on_after_a_signal_at_their_birth(number):
    of_five = {"n": 5, "training": False, "batch_size": 2, "num_workers": 2, "seed": 0, "rank": 0, "world_size": 1}
    loader = make_loader(Numbers(), list, **of_five)
    AT_BIRTH.append(lambda: os.kill(os.getpid(), number))
    try:
        assert [list(loader) for _ in range(2)] == [[[0, 1], [2, 3], [4]]] * 2
    finally:
        AT_BIRTH.clear()


@pytest.mark.processes
@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM"])
def test_a_signal_at_a_workers_birth_does_not_end_it(number):
    made = run(SCRIPT.format(number=number))
    assert (made.returncode, made.stdout) == (0, "loaded\n"), made.stderr
    assert "Traceback" not in made.stderr


@pytest.mark.parametrize(
    "when",
    [
        pytest.param("threading.Timer(2, now.set).start()", id="while_they_work"),
        pytest.param(
            "os.register_at_fork(after_in_parent=now.set)", id="while_they_are_started", marks=pytest.mark.processes
        ),
    ],
)
@pytest.mark.slow
def test_workers_that_are_stuck_do_not_hold_up_the_end(when):
    made = run(STUCK.format(when=when))
    assert made.returncode == -signal.SIGINT
    assert made.stderr.strip().endswith("KeyboardInterrupt")


def run(script):
    return subprocess.run(
        [sys.executable, "-c", f"{FORKED}\n{script}"], capture_output=True, text=True, timeout=120, check=False,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # tests may run in the background
    )  # fmt: skip


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_what_cannot_be_sent_to_a_new_process_is_told(method):
    of_five = {"n": 5, "training": False, "batch_size": 2, "num_workers": 1, "seed": 0, "rank": 0, "world_size": 1}
    loader = make_loader(Numbers(), lambda samples: samples, **of_five)
    loader.multiprocessing_context = method
    with pytest.raises(ConfigError, match=rf"starts by {method} \(Can't .*lambda.*data\.num_workers to 0"):
        iter(loader)
