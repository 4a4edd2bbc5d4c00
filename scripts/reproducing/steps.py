"""Steps whose results are kept: a reproduction that was stopped is resumed where it was."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lightning_tasks.atomic_write import write_whole

ROOT = Path(__file__).parents[2]


class Steps:
    """The results so far, one JSON file a step.

    Args:
        folder: of the reproduction.
        settings: of it; those of a folder that is there must be the same.
    """

    def __init__(self, folder: Path, settings: dict[str, Any]) -> None:
        self.folder = folder
        self.seconds: dict[str, float] = {}
        kept = self.take("settings", lambda: settings)
        if kept != json.loads(json.dumps(settings)):
            changed = ", ".join(key for key in settings if settings[key] != kept.get(key))
            sys.exit(f"error: {folder} was begun with other settings ({changed}). Choose another --folder.")

    def take(self, name: str, make: Callable[[], Any]) -> Any:  # noqa: ANN401 - whatever JSON can hold
        """Return the step's result, which is made if it is not there."""
        file = self.folder / "steps" / f"{name}.json"
        if not file.is_file():
            if name != "settings":
                print(f"== {name}", flush=True)
            started = time.perf_counter()
            content = {"result": make(), "seconds": time.perf_counter() - started}
            write_whole(file, lambda new: new.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8"))
        content = json.loads(file.read_text(encoding="utf-8"))
        self.seconds[name] = content["seconds"]
        return content["result"]

    def command(self, name: str, arguments: Sequence[str]) -> str:
        """Run `lightning-tasks`, keep what it prints in logs/, and return it; leave where it fails.

        A log that a stopped reproduction began is added to.
        """
        log = self.folder / "logs" / f"{name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a", encoding="utf-8") as file:
            command = [sys.executable, "-m", "lightning_tasks", *arguments]
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            assert process.stdout is not None
            for line in process.stdout:
                file.write(line)
                file.flush()
                if re.match(r"epoch  | +\d+  |learning rates|error", line):
                    print(line, end="", flush=True)
        if code := process.wait():
            sys.exit(f"error: {name} ended with {code}; see {log}. The same command resumes from here.")
        return log.read_text(encoding="utf-8")
