"""Run every step of the GPU check in a process of its own, and write what was found after each.

Called by scripts/gpu_check.sh, which makes the environment. A step that fails or is late is ended, with all that it
started; its last lines and what it had found by then are kept, and the next one runs. Exits with 1 if any failed.
"""

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

from gpu_checking.table import text

ROOT = Path(__file__).parents[1]
_LAST_LINES = 25
_MANY_CORES = 8  # from here on, steps that measure no time run beside each other
_LEAST_S = 5.0  # a step that would have less is not begun


@dataclass(frozen=True)
class Step:
    """One process: `python -m gpu_checking.NAME`.

    Attributes:
        name: of the module.
        limit_s: after which it is ended.
        alone: nothing runs beside it, as it measures time or wants the whole memory.
    """

    name: str
    limit_s: float
    alone: bool = True


STEPS = (
    Step("machine", 60),
    Step("speed", 240),  # first: on a machine that has just started each first use of a library takes long
    Step("batches", 120),
    Step("train", 90),
    Step("verbs", 130, alone=False),
    Step("repeat", 90, alone=False),
    Step("resume", 90, alone=False),
    Step("finder", 90, alone=False),
    Step("pair", 90, alone=False),
    Step("predict", 100),
    Step("serving", 40),
    Step("memory", 90),
)


class Report:
    """What was found so far, in three files.

    Args:
        folder: where they go.
        facts: what stands at the top of the JSON.
    """

    def __init__(self, folder: Path, facts: dict[str, Any]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.result: dict[str, Any] = {**facts, "steps": self._earlier(facts)}
        self.lock = Lock()
        self.log.write_text("", encoding="utf-8")

    def _earlier(self, facts: dict[str, Any]) -> dict[str, Any]:
        """Return the steps of a check before this one on such a device, which are kept until they run again."""
        path = self.folder / "gpu.json"
        if not path.is_file():
            return {}
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        same = all(found.get(name) == facts[name] for name in ("device", "tiny"))
        return dict(found["steps"]) if same else {}

    @property
    def log(self) -> Path:
        """What the steps print."""
        return self.folder / "gpu.log"

    def add(self, name: str, found: dict[str, Any], output: str) -> None:
        """Add a step, and write all three files."""
        with self.lock:
            self.result["steps"].pop(name, None)
            self.result["steps"][name] = found
            with self.log.open("a", encoding="utf-8") as log:
                log.write(f"=== {name}\n{output}\n")
            for path, content in (
                (self.folder / "gpu.json", json.dumps(self.result, indent=1) + "\n"),
                (self.folder / "gpu.txt", text(self.result)),
            ):
                new = path.with_name(f"{path.name}.new")
                new.write_text(content, encoding="utf-8")
                new.replace(path)
            print(f"{name:<10} {'passed' if found['passed'] else 'FAILED'}  {found['seconds']:.0f} s", flush=True)


def main() -> int:
    """Run the steps, and print the table."""
    arguments = parse()
    deadline = arguments.began + 60 * arguments.minutes
    with zipfile.ZipFile(arguments.pack) as pack:
        pack.extractall(arguments.work / "pack")
    context = {name: str(getattr(arguments, name)) for name in ("device", "work")} | {"tiny": arguments.tiny}
    (arguments.work / "context.json").write_text(json.dumps(context), encoding="utf-8")
    facts = {"device": arguments.device, "tiny": arguments.tiny, "setup_s": round(time.time() - arguments.began, 1)}
    report = Report(arguments.output.resolve(), facts)
    by_name = {step.name: step for step in STEPS}
    steps = STEPS if arguments.steps is None else [by_name[name] for name in arguments.steps]
    for group in groups(steps):
        with ThreadPoolExecutor(len(group)) as pool:
            list(pool.map(lambda step: run(step, arguments.work, deadline, report), group))
    print(text(report.result))
    return 0 if all(report.result["steps"][step.name]["passed"] for step in steps) else 1


def parse() -> argparse.Namespace:
    """Return the command line's settings."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--tiny", action="store_true", help="a few small images for each step")
    parser.add_argument("--output", type=Path, default=ROOT / "results")
    parser.add_argument(
        "--minutes", type=float, default=9.0, help="from --began on; what is not done by then is left out"
    )
    parser.add_argument("--steps", nargs="+", choices=[step.name for step in STEPS], help="in this order; default: all")
    parser.add_argument("--pack", type=Path, default=ROOT / ".gpu" / "pack.zip", help="what scripts/gpu_pack.py wrote")
    parser.add_argument("--work", type=Path, required=True, help="a folder for all that is needed meanwhile")
    parser.add_argument("--began", type=float, default=time.time(), help="seconds since 1970")
    return parser.parse_args()


def groups(steps: Sequence[Step]) -> list[list[Step]]:
    """Return the steps in their order; those that may run beside each other together, where there are cores for it."""
    found: list[list[Step]] = []
    for step in steps:
        beside = (os.cpu_count() or 1) >= _MANY_CORES and not step.alone
        if beside and found and not found[-1][0].alone:
            found[-1].append(step)
        else:
            found.append([step])
    return found


def run(step: Step, work: Path, deadline: float, report: Report) -> None:
    """Run a step to its end or its limit, and report it."""
    began = time.time()
    limit_s = min(step.limit_s * (3 if report.result["device"] == "cpu" else 1), deadline - began)
    record = work / f"{step.name}.json"
    if limit_s < _LEAST_S:
        report.add(step.name, {"passed": False, "seconds": 0.0, "error": "no time was left"}, "")
        return
    output = work / f"{step.name}.log"
    env = dict(os.environ)
    if not step.alone and (os.cpu_count() or 1) >= _MANY_CORES:
        env["OMP_NUM_THREADS"] = "4"  # of the cores that several steps share
    command = [sys.executable, "-m", f"gpu_checking.{step.name}", str(work / "context.json"), str(record), str(limit_s)]
    with output.open("wb") as log:
        # A session of its own is how all that it starts is ended with it.
        process = subprocess.Popen(
            command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=env, start_new_session=True
        )
        try:
            code = process.wait(limit_s)
            error = "" if code == 0 else f"ended with {code}"
        except subprocess.TimeoutExpired:
            error = f"was not done after {limit_s:.0f} s"
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    lines = output.read_text(encoding="utf-8", errors="replace")
    found: dict[str, Any] = {"passed": not error, "seconds": round(time.time() - began, 1)}
    if error:
        found |= {"error": error, "last_lines": lines.splitlines()[-_LAST_LINES:]}
    if record.is_file():
        found["found"] = json.loads(record.read_text(encoding="utf-8"))
    report.add(step.name, found, lines)


if __name__ == "__main__":
    sys.exit(main())
