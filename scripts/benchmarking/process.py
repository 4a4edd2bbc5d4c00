"""Running a part in a process of its own, quietly, with an eye on its memory."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

_EVERY_S = 0.5  # between two looks at the memory: a shorter peak can be missed
_PATIENCE = 200  # times what a look takes (the kernel walks all pages), while something is measured: half a per cent
_LINES = 40  # of a failed part's errors


class PartError(RuntimeError):
    """A part failed; the message has its last words."""


class Memory(NamedTuple):
    """The most that was seen at once of a process and all its workers, in MB (10⁶ bytes).

    Attributes:
        rss_mb: resident pages, of which each process that shares one counts its part (Linux's Pss).
        anonymous_mb: those among them that no file backs, which the kernel cannot drop (Pss_Anon).
    """

    rss_mb: float
    anonymous_mb: float


def end_in_order() -> None:
    """Let SIGTERM end this process as Ctrl-C does: the running part ends too, and temporary files go."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


def run_part(command: Sequence[str], env: dict[str, str], folder: Path, measuring: Path | None = None) -> Memory | None:
    """Run `command` to its end; return its peak memory, None where there is no /proc that tells.

    Args:
        command: what is run.
        env: its environment.
        folder: where it runs.
        measuring: a file; once it is there, the process is looked at so seldom that it does not cost it time.

    Raises:
        PartError: it failed.
    """
    with tempfile.TemporaryFile(dir=folder) as log:
        # A session of its own is how its workers are found, and ended with it.
        process = subprocess.Popen(command, env=env, cwd=folder, stdout=log, stderr=log, start_new_session=True)
        try:
            peak = _watch(process, measuring)
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise
        if process.returncode:
            log.seek(0)
            lines = log.read().decode(errors="replace").splitlines()[-_LINES:]
            raise PartError("\n".join([f"{' '.join(command)}\nended with {process.returncode}:", *lines]))
    return peak


def _watch(process: "subprocess.Popen[bytes]", measuring: Path | None) -> Memory | None:
    peak: Memory | None = None
    wait_s = _EVERY_S
    while True:
        try:
            process.wait(wait_s)
        except subprocess.TimeoutExpired:
            started_s = time.perf_counter()
            now = session_memory(process.pid)
            if now is not None:
                peak = now if peak is None else Memory(*map(max, peak, now))
            if measuring is not None and measuring.exists():
                wait_s = max(_EVERY_S, _PATIENCE * (time.perf_counter() - started_s))
            continue
        return peak


def session_memory(session: int) -> Memory | None:
    """Return what the processes of a session hold now; None where nothing can be seen of them."""
    totals_kib, seen = [0, 0], False
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            # Behind the name, which may hold anything: state, parent, group, session.
            if int((folder / "stat").read_text().rpartition(")")[2].split()[3]) != session:
                continue
            rollup = (folder / "smaps_rollup").read_text()
        except (OSError, ValueError):  # it ended, or it is somebody else's
            continue
        fields = dict(line.split(":", 1) for line in rollup.splitlines()[1:])
        for i, name in enumerate(("Pss", "Pss_Anon")):
            totals_kib[i] += int(fields.get(name, "0 kB").split()[0])
        seen = seen or "Pss" in fields
    return Memory(*(total * 1024 / 1e6 for total in totals_kib)) if seen else None
