"""Run the scripts as `python scripts/NAME` does, but in this process, where the seconds of imports are spent."""

import contextlib
import io
import os
import runpy
import sys
from pathlib import Path
from subprocess import CompletedProcess
from unittest import mock

ROOT = Path(__file__).parents[1]
SCRIPTS = ROOT / "scripts"


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
