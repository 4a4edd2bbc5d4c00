"""Ctrl-C, SIGTERM and SLURM's notice: the step is finished, saved, and resumed as if nothing had happened."""

import os
import re
import signal
import threading
import time
from pathlib import Path

import pytest

from lightning_tasks.__main__ import console
from lightning_tasks.run_folders import new_run_folder, requeued_run_folder
from tests.training.small_runs import (
    HERE_OR_NOT,
    STEPS,
    arguments,
    assert_same,
    ended_of,
    last,
    result,
    start,
    write_data,
)

EVERY = ["--last.every_n_steps", "100"]  # so that only the signal saves within an epoch


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_data()
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # tests may run in the background
    yield
    signal.signal(signal.SIGINT, before)


def test_in_the_background_ctrl_c_is_not_meant():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    assert console(arguments("points", callbacks=[sent(signal.SIGINT, 4, "on_before_backward")])) == 0


def sent(number, step, moment, times=1):
    arguments = {"number": int(number), "step": step, "moment": moment, "times": times}
    return {"class_path": "tests.callbacks.Sender", "init_args": arguments}


def stopped(*args, **options):
    with pytest.raises(SystemExit) as left:
        console(arguments(*args, **options))
    return left.value.code


@pytest.mark.parametrize(
    ("number", "step", "moment", "saved", "more"),
    [
        (signal.SIGINT, 1, "on_before_backward", 2, []),
        pytest.param(signal.SIGTERM, 4, "on_train_batch_start", 5, [], marks=pytest.mark.slow),
        (signal.SIGTERM, 4, "on_train_batch_start", 5, ["--trainer.accumulate_grad_batches", "2"]),
        (signal.SIGINT, 3, "on_validation_batch_start", 3, []),  # the validation is completed first
        (signal.SIGTERM, 2, "on_before_zero_grad", 3, ["--config", "ema"]),
        (signal.SIGINT, 0, "on_train_epoch_start", 0, []),
    ],
)
def test_the_step_is_finished_and_saved_and_the_run_goes_on(number, step, moment, saved, more, capsys):
    ema = str(Path(__file__).parents[2] / "conf" / "ema.yaml")
    more = [*EVERY, *(ema if word == "ema" else word for word in more)]
    before = [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)]
    assert console(arguments("labels", *more)) == 0
    steps = last(0)["global_step"]
    assert stopped("labels", *more, callbacks=[sent(number, step, moment)]) == 128 + number
    assert [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)] == before
    said = capsys.readouterr()
    assert f"{number.name}: stopping after this step" in said.err
    assert "Traceback" not in said.err
    assert last(1)["global_step"] == saved
    assert f"stopped at step {saved}; --ckpt_path last" in said.out
    assert console(arguments("labels", *more, "--ckpt_path", "last")) == 0
    assert last(1)["global_step"] == steps
    assert_same(result(0), result(1))


def test_a_run_that_is_complete_anyway_ends_with_0():
    assert console(arguments("points", callbacks=[sent(signal.SIGTERM, STEPS, "on_validation_start")])) == 0
    assert last(0)["global_step"] == STEPS


def test_a_second_ctrl_c_does_not_wait(capsys):
    code = console(arguments("points", callbacks=[sent(signal.SIGINT, 4, "on_before_backward", times=2)]))
    assert code == 130
    assert capsys.readouterr().err.strip().endswith("stopped by Ctrl-C")
    assert last(0)["global_step"] == 3  # the epoch's start, as after a kill


def wait_for(condition, process, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.processes
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_real_processes_with_workers_as_a_terminal_stops_them(number, code):
    """All of the process group gets the signal, the loaders' processes too."""
    more = [*EVERY, "--data.num_workers", "2", "--trainer.max_epochs", "300"]
    process = start(arguments("points", *more))
    wait_for(lambda: list(Path("runs").rglob("last.ckpt")), process)
    time.sleep(0.3)
    os.killpg(process.pid, number)
    out, error = process.communicate(timeout=60)
    assert process.returncode == code, error
    assert "Traceback" not in error
    steps = int(re.search(r"stopped at step (\d+)", out)[1])
    assert last(0)["global_step"] == steps


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_before_the_training_ends_it_at_once(number, code, capsys):
    ended, _, error = ended_of("here", arguments("points", callbacks=[sent(number, 0, "setup")]), capsys)
    assert ended == code, error
    assert not list(Path("runs").rglob("*.ckpt"))


@pytest.mark.processes
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_before_the_training_there_is_nothing_to_wait_for(number, code):
    slow = {"class_path": "tests.callbacks.Sleeper", "init_args": {"file": "asleep"}}
    process = start(arguments("points", callbacks=[slow]))
    wait_for(Path("asleep").is_file, process)
    os.killpg(process.pid, number)
    _, error = process.communicate(timeout=60)
    assert process.returncode == code, error
    assert "Traceback" not in error


@pytest.mark.processes
def test_two_processes_of_which_one_gets_the_signal():
    two = ["--trainer.devices", "2", "--trainer.strategy", "ddp", "--trainer.max_epochs", "300"]
    process = start(arguments("points", *EVERY, *two, "--data.batch_size", "2"), OMP_NUM_THREADS="1")
    wait_for(lambda: list(Path("runs").rglob("last.ckpt")), process)
    os.kill(process.pid, signal.SIGTERM)
    out, error = process.communicate(timeout=60)
    assert process.returncode == 143, error
    assert "Traceback" not in error
    assert last(0)["global_step"] == int(re.search(r"stopped at step (\d+)", out)[1])


SLURM = {
    "SLURM_JOB_ID": "77", "SLURM_JOB_NAME": "train", "SLURM_NTASKS": "1", "SLURM_PROCID": "0", "SLURM_LOCALID": "0",
    "SLURM_NODEID": "0",
}  # fmt: skip


def scontrol(exit_code):
    """A stand-in for SLURM's own that writes down what it is asked for."""
    Path("bin").mkdir()
    Path("bin/scontrol").write_text(f'#!/bin/sh\necho "$@" >>asked\necho "no such job" >&2\nexit {exit_code}\n')
    Path("bin/scontrol").chmod(0o755)
    return {**SLURM, "PATH": f"{Path('bin').resolve()}:{os.environ['PATH']}"}


@pytest.mark.parametrize("where", HERE_OR_NOT)
def test_slurm_puts_the_job_back_and_it_goes_on(where, capsys):
    slurm = scontrol(0)
    assert console(arguments("labels")) == 0
    args = arguments("labels", *EVERY, callbacks=[sent(signal.SIGUSR1, 4, "on_before_backward")])
    code, out, error = ended_of(where, args, capsys, **slurm)
    assert code == 0, error
    assert "job 77 is back in the queue" in out
    assert Path("asked").read_text() == "requeue 77\n"
    assert last(1)["global_step"] == 5

    slurm["SLURM_RESTART_COUNT"] = "1"
    code, _, error = ended_of(where, [*args, "--run_name", "run"], capsys, **slurm)  # another command of the job's
    assert code == 0, error
    assert len(list(Path("runs/run").iterdir())) == 3
    code, out, error = ended_of(where, args, capsys, **slurm)  # the same
    assert code == 0, error
    assert "resuming from    runs/run/version_1/checkpoints/last.ckpt" in out
    assert len(list(Path("runs/run").iterdir())) == 3


@pytest.mark.parametrize("note", ["", "{", "[]", '{"job": "77"}'])
def test_a_note_that_is_none_of_ours_stops_nothing(monkeypatch, note):
    for name, value in {**SLURM, "SLURM_RESTART_COUNT": "1"}.items():
        monkeypatch.setenv(name, value)
    folder = new_run_folder(Path("runs"), "run")
    (folder / "slurm_job.json").write_text(note)
    assert requeued_run_folder(Path("runs"), "run") is None


@pytest.mark.parametrize("where", HERE_OR_NOT)
def test_slurms_sigterm_after_its_notice_takes_nothing_back(where, capsys):
    callbacks = [sent(signal.SIGUSR1, 4, "on_before_backward"), sent(signal.SIGTERM, 4, "on_before_backward")]
    code, out, error = ended_of(where, arguments("labels", callbacks=callbacks), capsys, **scontrol(0))
    assert code == 0, error
    assert "job 77 is back in the queue" in out


def test_in_a_thread_there_are_no_signals_to_take():
    codes = []
    thread = threading.Thread(target=lambda: codes.append(console(arguments("points", "--trainer.max_epochs", "1"))))
    thread.start()
    thread.join()
    assert codes == [0]


@pytest.mark.processes
def test_another_loaders_processes_end_by_the_signal_too():
    own = ["fit", "--model", "tests.own_classes.OwnModel", "--data", "tests.own_classes.OwnData", "--data.workers", "2"]
    process = start([*own, "--run_name", "run", "--trainer.accelerator", "cpu", "--trainer.max_epochs", "10000"])
    wait_for(lambda: list(Path("runs").rglob("last.ckpt")), process)
    time.sleep(0.3)
    os.killpg(process.pid, signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130, error
    assert "Traceback (most recent call last)" not in error.partition("DataLoader")[0]


@pytest.mark.processes
def test_a_lost_loader_does_not_hold_up_the_end():
    """Where one of the processes that load did not survive the signal, the other one is ended as well."""
    lost = {"class_path": "tests.callbacks.LoaderLoss", "init_args": {"step": 4}}
    process = start(arguments("points", *EVERY, "--data.num_workers", "2", callbacks=[lost]))
    _, error = process.communicate(timeout=60)
    assert process.returncode == 143, error
    assert "Traceback" not in error
    assert "stopped: the loader's processes were ended too" in error


@pytest.mark.parametrize("where", HERE_OR_NOT)
def test_slurm_that_refuses_is_told(where, capsys):
    args = arguments("labels", callbacks=[sent(signal.SIGUSR1, 4, "on_before_backward")])
    code, _, error = ended_of(where, args, capsys, **scontrol(1))
    assert code == 1
    assert "error: `scontrol requeue 77` failed (no such job). Submit the job again." in error
    assert "Traceback" not in error
    assert last(0)["global_step"] == 5
