"""Run the scripts as `python scripts/NAME` does, but in this process, where the seconds of imports are spent."""

import contextlib
import io
import os
import runpy
import subprocess
import sys
from pathlib import Path
from subprocess import CompletedProcess
from types import SimpleNamespace
from unittest import mock

from lightning_tasks.__main__ import console

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "scripts"


class InThisProcess:
    """What `subprocess.Popen` gives the scripts for a verb of the command line, which runs here and now."""

    def __init__(self, command, **_):
        assert command[:3] == [sys.executable, "-m", "lightning_tasks"]
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            self.code = console(command[3:])
        self.stdout = io.StringIO(said.getvalue())

    def wait(self):
        return self.code


@contextlib.contextmanager
def verbs_in_this_process():
    """Have `reproducing.steps` start no processes: importing torch for each verb takes longer than what it does."""
    with mock.patch.object(sys, "path", [str(SCRIPTS), *sys.path]):
        from reproducing import steps
    here = SimpleNamespace(Popen=InThisProcess, PIPE=subprocess.PIPE, STDOUT=subprocess.STDOUT)
    with mock.patch.object(steps, "subprocess", here):
        yield


def run_script(name, *arguments, folder, code=0):
    """Run a script in a folder, and the processes that it starts on one thread; return what it printed."""
    out, err = io.StringIO(), io.StringIO()
    ended = 0
    with (
        contextlib.chdir(folder),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        mock.patch.object(sys, "argv", [str(SCRIPTS / name), *arguments]),
        mock.patch.object(sys, "path", [str(SCRIPTS), *sys.path]),
        mock.patch.dict(os.environ, {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}),
    ):
        try:
            runpy.run_path(str(SCRIPTS / name), run_name="__main__")
        except SystemExit as left:  # as the interpreter takes it
            ended = left.code or 0
            if not isinstance(ended, int):
                print(ended, file=sys.stderr)
                ended = 1
    assert ended == code, err.getvalue()
    return CompletedProcess([name, *arguments], ended, out.getvalue(), err.getvalue())
