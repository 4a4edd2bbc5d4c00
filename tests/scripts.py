"""Run the project's scripts as a user does."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def run_script(name, *arguments, folder, code=0):
    """Run a script in a folder, on one thread, and return what it printed."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / name), *arguments],
        capture_output=True, text=True, cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    return done
