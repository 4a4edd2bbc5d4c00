"""What the steps have in common: the pack, the command line in this process, and what was found."""

import contextlib
import gc
import io
import json
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch

from lightning_tasks.__main__ import console

Kind = Literal["labels", "points", "heatmap"]

CONF = Path(__file__).parents[2] / "conf"
TINY_BACKBONE = "test_resnet"
_CONFIGS: dict[Kind, tuple[str, ...]] = {
    "labels": ("pascal.yaml",),
    "points": ("keypoints.yaml",),
    "heatmap": ("keypoints.yaml", "heatmap.yaml", "heads.yaml"),
}
_TINY_SIZES: dict[Kind, str] = {"labels": "32", "points": "[32,48]", "heatmap": "[32,48]"}
_TINY = (
    *("--data.batch_size", "4", "--data.cache", "none", "--trainer.log_every_n_steps", "1"),
    *("--trainer.limit_train_batches", "4", "--trainer.limit_val_batches", "2"),
)


class NotAsItShouldBe(Exception):  # noqa: N818 - what the check is for
    """The step's own finding is a fault."""


@dataclass
class Check:
    """One step at work.

    Attributes:
        device: cuda or cpu.
        tiny: as small as it goes.
        work: the check's folder.
        record: where `note` writes.
        limit_s: how long the step may take.
        found: what was noted.
    """

    device: str
    tiny: bool
    work: Path
    record: Path
    limit_s: float
    found: dict[str, Any] = field(default_factory=dict)

    def note(self, **values: object) -> None:
        """Keep what was found, also if the step does not end."""
        self.found |= values
        new = self.record.with_suffix(".new")
        new.write_text(json.dumps(self.found), encoding="utf-8")
        new.replace(self.record)

    @property
    def weights(self) -> Path | None:
        """The backbone's weights, if they came along."""
        path = self.work / "pack" / "weights.safetensors"
        return path if path.is_file() and not self.tiny else None

    def root(self, kind: Kind) -> Path:
        """The folder of the data."""
        return self.work / "pack" / ("pascal" if kind == "labels" else "points")

    def checkpoint(self, name: str) -> Path:
        """The best checkpoint of the newest run of that name."""
        versions = (self.work / "runs" / name).glob("version_*")
        newest = max(versions, key=lambda path: int(path.name.removeprefix("version_")))
        return newest / "checkpoints" / "best.ckpt"

    def trained(self, name: str) -> Path:
        """The best checkpoint of the step `train`; without it, of a training of two batches."""
        if not (self.work / "runs" / name).is_dir():
            short = [
                "--trainer.max_epochs",
                "1",
                "--trainer.limit_train_batches",
                "2",
                "--trainer.limit_val_batches",
                "2",
            ]
            self.command(*self.arguments("fit", "labels" if name == "labels" else "heatmap", name, *short))
        return self.checkpoint(name)

    def arguments(self, verb: str, kind: Kind, name: str, *more: str, device: str | None = None) -> list[str]:
        """Return a command line that trains on the pack; `name`: of the run's folder."""
        device = device or self.device
        given = [verb, *(word for config in _CONFIGS[kind] for word in ("--config", str(CONF / config)))]
        given += ["--config", str(CONF / "gpu.yaml")] if device == "cuda" else ["--trainer.accelerator", "cpu"]
        given += ["--runs_dir", str(self.work / "runs"), "--run_name", name, "--data.root", str(self.root(kind))]
        given += ["--data.cache_dir", str(self.work / "cache"), "--trainer.enable_progress_bar", "false"]
        given += ["--model.pretrained", "false", "--model.backbone", "tf_efficientnet_lite0"]
        if self.weights is not None:
            given += ["--model.weights", str(self.weights)]
        if self.tiny:
            given += ["--model.backbone", TINY_BACKBONE, "--data.size", _TINY_SIZES[kind], *_TINY]
        return [*given, *more]

    def command(self, *arguments: str, code: int = 0) -> str:
        """Run a command line in this process, and return what it printed.

        Raises:
            NotAsItShouldBe: it ended with another exit code.
        """
        print("$", *arguments, flush=True)
        with printed() as said:
            try:
                ended = console(list(arguments))
            except SystemExit as left:
                ended = left.code if isinstance(left.code, int) else 1
        if ended != code:
            raise NotAsItShouldBe(f"{arguments[0]} ended with {ended}: {said.getvalue().strip()[-500:]}")
        return said.getvalue()

    def free(self) -> None:
        """Give the memory of what was trained back."""
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


@contextlib.contextmanager
def printed() -> Iterator[io.StringIO]:
    """Hear both streams."""
    said = _Heard()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        yield said


class _Heard(io.StringIO):
    """Text that is also printed at once: a step may be ended at any moment."""

    def write(self, text: str) -> int:
        sys.__stdout__.write(text)  # type: ignore[union-attr]  # a step has one
        return super().write(text)


def run(step: Callable[[Check], None]) -> None:
    """Be the process of a step."""
    context = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    check = Check(context["device"], context["tiny"], Path(context["work"]), Path(sys.argv[2]), float(sys.argv[3]))
    if check.device == "cuda" and not torch.cuda.is_available():
        raise SystemExit("torch sees no GPU")
    step(check)


def each(check: Check, parts: dict[str, Callable[[], object]]) -> None:
    """Note what every part finds; one that fails does not stop the others, but the step fails at its end."""
    failed = []
    for name, part in parts.items():
        began = time.perf_counter()
        try:
            check.note(**{name: part()})
        except Exception as error:  # whatever it is, the other parts have their turn
            traceback.print_exc()
            check.note(**{name: {"error": f"{type(error).__name__}: {str(error).strip()[:500]}"}})
            failed.append(name)
        print(f"{name}: {time.perf_counter() - began:.1f} s", flush=True)
        check.free()
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")
