"""`| head -1`: whoever reads has seen enough, and the program ends without a word."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lightning_tasks.__main__ import console
from tests.fakes import LABELS, write_multilabel
from tests.quick_runs import BASE, PLAIN
from tests.training.small_runs import ENVIRONMENT

DATA = ["--data", "MultiLabelDataModule", "--data.root", "root", "--data.num_workers", "0"]
VERBS = {
    "help": ["--help"],
    "version": ["--version"],
    "verb's help": ["check", "--help"],
    "init": ["init", "root/labels.csv"],
    "prepare": ["prepare", *DATA],
    "check": ["check", *DATA],
    "summary": ["summary", *DATA, "--data.size", "32"],
    "fit": [*BASE, *PLAIN, "--trainer.max_epochs", "1"],
    "validate": ["validate", "best.ckpt", "--data.num_workers", "0"],
    "get_preds": ["get_preds", "best.ckpt", "--output", "-", "--data.num_workers", "0"],
    "predict": ["predict", "best.ckpt", "root", "--output", "-"],
    "export": ["export", "best.ckpt", "--format", "safetensors", "--output", "x.safetensors"],
}


@pytest.fixture
def folder(labels_run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_multilabel(Path("root"), LABELS)
    Path("best.ckpt").symlink_to(labels_run[0] / labels_run[1])


@pytest.mark.parametrize("verb", VERBS)
def test_a_reader_who_has_gone_ends_it_quietly(verb, folder, capfd):
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as pipe, contextlib.redirect_stdout(pipe):  # its end flushes, as the interpreter's does
        try:
            code = console(VERBS[verb])
        except SystemExit as end:
            assert verb == "verb's help"  # of which argparse takes no notice, from Python 3.11.3 on
            code = 141 if end.code == 0 else end.code
        assert code == 141  # as a shell has it of what SIGPIPE ends
    error = capfd.readouterr().err
    assert not [word for word in ("Traceback", "BrokenPipe", "Errno", "Exception ignored", "error:") if word in error]


def test_a_pipe_of_anothers_that_breaks_is_no_reason_to_be_quiet(monkeypatch):
    def broken(args):
        raise BrokenPipeError("a loader's")

    monkeypatch.setattr("lightning_tasks.command_line.functions.run", broken)
    with pytest.raises(BrokenPipeError, match="a loader's"):
        console(["init", "x.csv"])


@pytest.mark.processes
@pytest.mark.parametrize("verb", ["help", "init", "check"])
def test_it_is_so_at_the_interpreters_end(verb, folder):
    command = [sys.executable, "-W", "ignore", "-m", "lightning_tasks", *VERBS[verb]]
    script = '"$@" | true; exit ${PIPESTATUS[0]}'
    done = subprocess.run(
        ["bash", "-c", script, "bash", *command], capture_output=True, text=True, env=ENVIRONMENT, check=False
    )
    assert (done.returncode, done.stderr) == (141, "")
