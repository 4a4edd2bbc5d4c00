"""How long does an epoch take, and how long would it take at best? One run, one table, one JSON.

    python scripts/benchmark.py --output benchmark.json
    python scripts/benchmark.py --quick --fastai golden/bin/python
    python scripts/benchmark.py --pascal DATA --points DATA --images 512 --task labels --backbone resnet34 --size 224

Each case, from random weights unless --weights names a file, round after round, each part in a process of its own:

our epoch   `lightning-tasks fit` with all its loggers, images and checkpoints: the time from the start of epoch 1 to
            that of epoch 2. Epoch 0 is warm-up.
ceiling     our module's network and loss in a plain PyTorch loop on batches that lie ready on the device: training
            steps (forward, backward, fused AdamW), then evaluation, as many batches as our epoch has. Beside it the
            same of timm's unchanged network with one linear layer as its head.
loader      one pass over our training and validation loaders, after one to warm up.
fastai      its epoch on the same images, with --fastai and a Python that has it; float32 on a CPU, 16-mixed on a GPU.
frozen      our epoch with FineTune's body frozen, its normalisation layers too; not in a --quick run.

Memory is that of our epoch's process and its workers: pages that several share count once.
On a GPU a grid of backbones and sizes follows, with and without torch.compile: the ceiling's loop, in images/s.
"""

import argparse
import inspect
import itertools
import json
import os
import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from benchmarking.case import Case, fit_arguments, frozen, one_cycle
from benchmarking.clock import MEASURING
from benchmarking.images import table_of
from benchmarking.process import Memory, PartError, end_in_order, run_part
from benchmarking.summary import Round, case_record, hardware, text, versions, with_ratios

import lightning_tasks
from lightning_tasks.atomic_write import write_whole
from lightning_tasks.errors import ConfigError, LightningTasksError
from lightning_tasks.tasks import MultiLabelClassifier

_SCRIPTS = Path(__file__).resolve().parent
_QUICK_IMAGES = 64
_GRID_STEPS = 30
_GRID_SIZES = ["128", "224", "240x320", "448"]


def main() -> int:
    """Measure, print, write."""
    arguments = parse()
    end_in_order()
    try:
        with tempfile.TemporaryDirectory(prefix="benchmark_") as folder:
            result = measure(arguments, Path(folder))
        print(text(result))
        if arguments.output is not None:
            whole = json.dumps(result, indent=1) + "\n"
            write_whole(arguments.output, lambda path: path.write_text(whole, encoding="utf-8"))
    except (PartError, LightningTasksError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def parse(args: list[str] | None = None) -> argparse.Namespace:
    """Return the command line's settings."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, help="the JSON")
    parser.add_argument("--rounds", type=_positive, help="how often everything is measured; default: 3, quick: 1")
    parser.add_argument("--quick", action="store_true", help="small cases, some two minutes on two cores")
    parser.add_argument("--fastai", type=Path, metavar="PYTHON", help="an interpreter that has fastai")
    parser.add_argument("--pascal", type=Path, help="PASCAL's folder; default: a drawn sample")
    parser.add_argument("--points", type=Path, help="a folder with points.csv; default: a drawn sample")
    parser.add_argument("--images", type=_positive, help="at most this many for training, and for validation")
    parser.add_argument("--task", choices=["labels", "points"], help="default: both")
    parser.add_argument("--backbone", help="a timm model; default: resnet18")
    parser.add_argument("--size", type=_size, help="224 or 240x320; default: labels 128, points 240x320")
    parser.add_argument("--batch-size", type=_positive, help="default: 64")
    parser.add_argument("--precision", help="default: what the command line chooses")
    parser.add_argument("--weights", type=Path, help="the backbone's; default: random ones")
    parser.add_argument(
        "--compile", action="store_true", help="--model.compile true, and torch.compile for the ceiling"
    )
    parser.add_argument("--grid", nargs="*", metavar="BACKBONE", help="default: three resnets on a GPU, else none")
    parser.add_argument("--grid-sizes", nargs="+", type=_size, default=[_size(size) for size in _GRID_SIZES])
    return parser.parse_args(args)


def measure(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Run all rounds of all cases in turn, and return the JSON's content."""
    cases = cases_of(arguments, folder)
    rounds_wanted = arguments.rounds or (1 if arguments.quick else 3)
    facts: list[dict[str, Any]] = [{} for _ in cases]
    rounds: list[list[Round]] = [[] for _ in cases]
    fastai: dict[str, str | None] = {"fastai": None}
    # A B A B: what else the machine does in the meantime then falls on all of them.
    for number, i in itertools.product(range(rounds_wanted), range(len(cases))):
        print(f"round {number + 1} of {rounds_wanted}: {cases[i].title}", file=sys.stderr, flush=True)
        measured, facts[i], found = one_round(cases[i], arguments.fastai, folder, with_frozen=not arguments.quick)
        rounds[i].append(with_ratios(measured))
        fastai = found or fastai
    names = arguments.grid if arguments.grid is not None else _default_grid(arguments)
    return {
        "versions": versions(fastai),
        "hardware": hardware(),
        "settings": settings(arguments, rounds_wanted),
        "cases": [case_record(*of_case) for of_case in zip(cases, facts, rounds, strict=True)],
        "grid": grid(cases[0], names, arguments.grid_sizes, folder),
    }


def cases_of(arguments: argparse.Namespace, folder: Path) -> list[Case]:
    """Return what is measured: the two usual cases, or what the command line makes of them.

    Raises:
        LightningTasksError: a table cannot be used.
    """
    compilable = "compile" in inspect.signature(MultiLabelClassifier).parameters
    if arguments.compile and not compilable:
        raise ConfigError("The modules of this version have no option `compile`. Leave out --compile.")
    usual = {"labels": (128, 128), "points": (240, 320)}
    small = {"labels": (64, 64), "points": (96, 128)}
    cases = []
    for task in ("labels", "points") if arguments.task is None else (arguments.task,):
        root = arguments.pascal if task == "labels" else arguments.points
        images = arguments.images or (_QUICK_IMAGES if arguments.quick else None)
        table = table_of(task, None if root is None else root.resolve(), images, folder)
        cases.append(
            Case(
                task=task,
                backbone=arguments.backbone or ("resnet10t" if arguments.quick else "resnet18"),
                size=arguments.size or (small if arguments.quick else usual)[task],
                batch_size=arguments.batch_size or (16 if arguments.quick else 64),
                precision=arguments.precision,
                compile=arguments.compile,
                csv=table.csv,
                images=table.images,
                weights=None if arguments.weights is None else arguments.weights.resolve(),
            )
        )
    if torch.cuda.is_available() and compilable and not arguments.compile and not arguments.quick:
        cases += [replace(case, compile=True) for case in cases]
    return cases


def one_round(
    case: Case, fastai: Path | None, folder: Path, *, with_frozen: bool
) -> tuple[Round, dict[str, Any], dict[str, str | None] | None]:
    """Measure every part once; return the numbers, what is known of the case, and fastai's versions.

    Raises:
        PartError: a part failed.
    """
    ours, memory = our_epoch(case, one_cycle(), folder)
    bare, _ = part("ceiling", case, folder, ["--compiled"] if case.compile else [])
    loader, _ = part("loader", case, folder, [])
    theirs = None if fastai is None else fastai_epoch(case, fastai, folder)
    frozen_s = our_epoch(case, frozen(), folder)[0]["epoch_s"] if with_frozen else None
    best, plain = bare["compiled" if case.compile else "ceiling"], bare["plain"]
    measured: Round = {
        "epoch_s": ours["epoch_s"],
        "warm_up_epoch_s": ours["warm_up_epoch_s"],
        "ceiling_s": best["train_s"] + best["valid_s"],
        "plain_s": plain["train_s"] + plain["valid_s"],
        "loader_s": loader["loader_s"],
        "fastai_s": None if theirs is None else theirs["fastai_s"],
        "frozen_epoch_s": frozen_s,
        "gpu_busy_share": ours["gpu_busy_share"],
        "peak_rss_mb": None if memory is None else memory.rss_mb,
        "peak_anonymous_mb": None if memory is None else memory.anonymous_mb,
        **{f"ceiling_{name}": best[name] for name in ("train_images_s", "valid_images_s")},
        **{f"plain_{name}": plain[name] for name in ("train_images_s", "valid_images_s")},
    }
    facts = {name: ours[name] for name in ("precision", "n", "n_valid", "num_workers")}
    facts["fastai_precision"] = None if theirs is None else theirs["precision"]
    found = None if theirs is None else {"fastai": theirs["fastai"], "fastai_torch": theirs["torch"]}
    return measured, facts, found


def our_epoch(case: Case, callback: dict[str, Any], folder: Path) -> tuple[dict[str, Any], Memory | None]:
    """Measure an epoch of `fit` with the given callback that moves the rates."""
    clock = {"class_path": "benchmarking.clock.EpochClock", "init_args": {"file": str(folder / "part.json")}}
    (folder / "part.json").with_suffix(MEASURING).unlink(missing_ok=True)
    return _our_part("epoch", fit_arguments(case, [callback, clock], folder / "runs"), folder)


def part(name: str, case: Case, folder: Path, options: list[str]) -> tuple[dict[str, Any], Memory | None]:
    """Measure the ceiling or the loader of a case."""
    bare = replace(case, compile=False)  # the ceiling compiles by itself: not twice
    return _our_part(name, [*options, *fit_arguments(bare, [one_cycle()], folder / "runs")], folder)


def _our_part(name: str, arguments: list[str], folder: Path) -> tuple[dict[str, Any], Memory | None]:
    package = str(Path(lightning_tasks.__file__).resolve().parents[1])  # this process's own, wherever it runs
    env = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(_SCRIPTS), package]),
        "XDG_CACHE_HOME": str(folder / "cache"),
    }
    output = folder / "part.json"
    command = [sys.executable, "-m", "benchmarking.parts", name, str(output), *arguments]
    try:
        memory = run_part(command, env, folder, output.with_suffix(MEASURING) if name == "epoch" else None)
    finally:
        shutil.rmtree(folder / "runs", ignore_errors=True)
    return json.loads(output.read_text(encoding="utf-8")), memory


def fastai_epoch(case: Case, python: Path, folder: Path) -> dict[str, Any]:
    """Measure fastai's epoch of a case."""
    output = folder / "fastai.json"
    command = [os.path.abspath(python), "-m", "benchmarking.fastai_epoch", case.task]  # noqa: PTH100 - a venv's is a link
    command += ["--csv", str(case.csv), "--images", str(case.images), "--backbone", case.backbone]
    command += ["--size", *map(str, case.size), "--batch-size", str(case.batch_size), "--output", str(output)]
    command += [] if case.weights is None else ["--weights", str(case.weights)]
    run_part(command, {**os.environ, "PYTHONPATH": str(_SCRIPTS)}, folder)
    found: dict[str, Any] = json.loads(output.read_text(encoding="utf-8"))
    return found


def grid(case: Case, backbones: list[str], sizes: list[tuple[int, int]], folder: Path) -> list[dict[str, Any]]:
    """Return images/s of the ceiling's loop for each backbone and size: ours, ours compiled, and timm's own."""
    rows = []
    for backbone, size in itertools.product(backbones, sizes):
        cell = replace(case, backbone=backbone, size=size, compile=False, weights=None)
        print(f"grid: {cell.title}", file=sys.stderr, flush=True)
        found, _ = part("ceiling", cell, folder, ["--compiled", "--steps", str(_GRID_STEPS)])
        for network in ("ceiling", "compiled", "plain"):
            rows.append(
                {
                    "backbone": backbone,
                    "network": "timm" if network == "plain" else "ours",
                    "size": list(size),
                    "precision": found["precision"],
                    "batch_size": cell.batch_size,
                    "compile": network == "compiled",
                    **{name: found[network][name] for name in ("train_images_s", "valid_images_s")},
                }
            )
    return rows


def settings(arguments: argparse.Namespace, rounds: int) -> dict[str, Any]:
    """Return what was asked for, without the paths of this machine."""
    named = {name: getattr(arguments, name) for name in ("quick", "images", "task", "backbone", "size", "batch_size")}
    given = {name: getattr(arguments, name) is not None for name in ("pascal", "points", "weights", "fastai")}
    return {**named, **given, "rounds": rounds, "precision": arguments.precision, "compile": arguments.compile}


def _default_grid(arguments: argparse.Namespace) -> list[str]:
    return ["resnet18", "resnet34", "resnet50"] if torch.cuda.is_available() and not arguments.quick else []


def _positive(word: str) -> int:
    value = int(word)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{word} is not above 0")
    return value


def _size(word: str) -> tuple[int, int]:
    height, _, width = word.partition("x")
    return _positive(height), _positive(width or height)


if __name__ == "__main__":
    sys.exit(main())
