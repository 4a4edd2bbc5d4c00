"""Jobs of SLURM that are put back into its queue, and the runs that they resume."""

import json
import os
import subprocess
import sys
from pathlib import Path

from lightning_tasks.atomic_write import put_whole

_NOTE = "slurm_job.json"  # the file in a run's folder that says which job began it


def job() -> str | None:
    """Return the job's number, `ARRAY_TASK` in an array; None outside SLURM, and in a shell within it."""
    if os.environ.get("SLURM_JOB_NAME") in ("bash", "interactive"):
        return None
    if "SLURM_ARRAY_JOB_ID" in os.environ and "SLURM_ARRAY_TASK_ID" in os.environ:
        return f"{os.environ['SLURM_ARRAY_JOB_ID']}_{os.environ['SLURM_ARRAY_TASK_ID']}"
    return os.environ.get("SLURM_JOB_ID")


def note_job(folder: Path) -> None:
    """Write into a run's folder which job began it, if one did."""
    if number := job():
        note = json.dumps({"job": number, "restarts": _restarts(), "arguments": sys.argv[1:]})
        put_whole(folder / _NOTE, lambda new: new.write_text(note, encoding="utf-8"))


def is_of_this_job(folder: Path) -> bool:
    """Return whether this job had begun the run in `folder`, by this command, before it was put back into the queue."""
    try:
        note = json.loads((folder / _NOTE).read_text(encoding="utf-8"))
        same = (note["job"], note["arguments"]) == (job(), sys.argv[1:])  # a job may train more than once
        return bool(same and note["restarts"] < _restarts())
    except (OSError, ValueError, LookupError, TypeError):  # no note, or not one of ours
        return False


def _restarts() -> int:
    return int(os.environ.get("SLURM_RESTART_COUNT", "0"))


def requeue() -> None:
    """Ask SLURM to start this job again.

    Raises:
        SystemExit: it does not; says so, and that nothing was lost.
    """
    number = job()
    assert number is not None
    try:
        subprocess.run(["scontrol", "requeue", number], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        refusal = error.stderr.strip() if isinstance(error, subprocess.CalledProcessError) else error
        print(f"error: `scontrol requeue {number}` failed ({refusal}). Submit the job again.", file=sys.stderr)
        raise SystemExit(1) from error
    print(f"job {number} is back in the queue", flush=True)
