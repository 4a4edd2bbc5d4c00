"""The quickstart's four commands, one after the other in one process: half of a small training's time are imports."""

import sys
import time

from lightning_tasks.__main__ import console


def main() -> int:
    """Draw two data sets and train on them; return the exit code of the first command that fails."""
    started_s = time.monotonic()
    for task in ("pascal", "biwi"):
        print(f"\n== {task}, on drawn data")
        for verb in ("prepare", "fit"):
            command = [verb, "--config", f"{task}_sample"]
            print(f"\n$ lightning-tasks {' '.join(command)}", flush=True)
            if code := console(command):
                return code
    print(f"\nBoth tasks took {time.monotonic() - started_s:.0f} s.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
