"""From raw rounds to a case's record, and to a table for people."""

import importlib.metadata
import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarking.case import Case

Round = dict[str, float | None]

RATIOS = {  # of a round: how often the second fits into the first
    "over_ceiling": ("ceiling_s", "epoch_s"),
    "over_fastai": ("fastai_s", "epoch_s"),
    "over_frozen": ("epoch_s", "frozen_epoch_s"),
}
MEDIANS = (
    *("epoch_s", "ceiling_s", "beside_steps_s", "loader_s", "fastai_s", "frozen_epoch_s", *RATIOS, "gpu_busy_share"),
    *("ceiling_train_images_s", "ceiling_valid_images_s", "plain_train_images_s", "plain_valid_images_s"),
)
PEAKS = ("peak_rss_mb", "peak_anonymous_mb")
_PACKAGES = {"torch": "torch", "torchvision": "torchvision", "lightning": "pytorch-lightning", "timm": "timm"}
_ROWS = {  # what the table says of each, its unit, and its goal
    "epoch_s": ("our epoch, training and validation", "s", ""),
    "ceiling_s": ("the bare model's ceiling for it", "s", ""),
    "beside_steps_s": ("what our epoch takes beside that", "s", "the goal for 64 images on two cores is ≤ 0.25"),
    "loader_s": ("our loaders alone", "s", ""),
    "fastai_s": ("fastai's epoch", "s", ""),
    "frozen_epoch_s": ("our epoch with the body frozen", "s", ""),
    "over_ceiling": ("ceiling / our epoch", "", "1 is perfect; the goal is ≥ 0.92"),
    "over_fastai": ("fastai's epoch / our epoch", "", "the goal is ≥ 2.7 at 128 px, ≥ 3.5 at 240×320"),
    "over_frozen": ("our epoch / our epoch frozen", "", "the goal is ≥ 2"),
    "gpu_busy_share": ("share of time in which the GPU computes", "", "torch.profiler, half an epoch's steps"),
    "ceiling_train_images_s": ("ceiling, training", "images/s", ""),
    "ceiling_valid_images_s": ("ceiling, evaluation", "images/s", ""),
    "plain_train_images_s": ("timm's unchanged network, training", "images/s", ""),
    "plain_valid_images_s": ("timm's unchanged network, evaluation", "images/s", ""),
    "peak_rss_mb": ("peak memory, with workers", "MB", "Pss; the highest of all rounds"),
    "peak_anonymous_mb": ("of it anonymous", "MB", "not counting what is mapped from files"),
}


def with_ratios(measured: Round) -> Round:
    """Return the round with the ratios of its own seconds, and one difference; None where one of them is."""
    epoch_s, ceiling_s = measured.get("epoch_s"), measured.get("ceiling_s")
    ratios: Round = {"beside_steps_s": None if epoch_s is None or ceiling_s is None else epoch_s - ceiling_s}
    for name, (above, below) in RATIOS.items():
        one, other = measured.get(above), measured.get(below)
        ratios[name] = None if one is None or other is None else one / other
    return {**measured, **ratios}


def case_record(case: Case, facts: Mapping[str, Any], rounds: Sequence[Round]) -> dict[str, Any]:
    """Return what the JSON says of a case: medians of the rounds, ratios with their range, the highest memory.

    Args:
        case: what was measured.
        facts: precision, n and n_valid as our epoch found them, and fastai_precision.
        rounds: with their ratios.
    """
    record: dict[str, Any] = {
        "task": case.task,
        "backbone": case.backbone,
        "size": list(case.size),
        "compile": case.compile,
        "batch_size": case.batch_size,
        **facts,
    }
    for name in MEDIANS:
        values = _values(rounds, name)
        record[name] = statistics.median(values) if values else None
        if name in RATIOS:
            record[f"{name}_range"] = [min(values), max(values)] if values else None
    for name in PEAKS:
        record[name] = max(_values(rounds, name), default=None)
    return {**record, "rounds": list(rounds)}


def _values(rounds: Sequence[Round], name: str) -> list[float]:
    return [value for measured in rounds if (value := measured.get(name)) is not None]


def versions(fastai: Mapping[str, str | None]) -> dict[str, str | None]:
    """Return the versions of everything that was measured; `fastai`: those of its environment."""
    ours = {name: importlib.metadata.version(package) for name, package in _PACKAGES.items()}
    from lightning_tasks import __version__

    return {"python": platform.python_version(), **ours, "lightning_tasks": __version__, **fastai}


def hardware() -> dict[str, Any]:
    """Return what it ran on. `flags`: what the processor has for low precision."""
    name, flags = platform.processor() or platform.machine(), set()
    if Path("/proc/cpuinfo").is_file():
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                name = value.strip()
            if key.strip() == "flags":
                flags = set(value.split())
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "cpu": name,
        "cores": cores,
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "flags": sorted(flag for flag in flags if flag.startswith("amx") or flag in ("avx512_bf16", "avx512_fp16")),
    }


def text(result: Mapping[str, Any]) -> str:
    """Return the whole result for a person."""
    machine = result["hardware"]
    lines = [
        ", ".join(f"{name} {version}" for name, version in result["versions"].items() if version is not None),
        f"{machine['cpu']}, {machine['cores']} cores ({' '.join(machine['flags']) or 'no bfloat16 instructions'}); "
        f"{machine['gpu'] or 'no GPU'}",
    ]
    for record in result["cases"]:
        lines += ["", *_case_lines(record)]
    if result["grid"]:
        lines += ["", *_grid_lines(result["grid"])]
    return "\n".join(lines)


def _case_lines(record: Mapping[str, Any]) -> list[str]:
    height, width = record["size"]
    rounds = record["rounds"]
    compiled = ", compiled" if record["compile"] else ""
    lines = [
        f"{record['task']}, {record['backbone']}, {height}×{width}, {record['precision']}{compiled}: {record['n']:,} "
        f"training and {record['n_valid']:,} validation images in batches of {record['batch_size']}",
        f"{'':42}{'median':>9}{'lowest':>9}{'highest':>9}  of {len(rounds)} round{'s' * (len(rounds) > 1)}",
    ]
    for name, (words, unit, remark) in _ROWS.items():
        values = _values(rounds, name)
        if not values:
            continue
        shown = (record[name], min(values), max(values))
        digits = 0 if unit == "MB" else 1 if unit == "images/s" else 3 if unit == "" else 2
        if name == "fastai_s":
            remark = record["fastai_precision"]
        cells = "".join(f"{value:>9,.{digits}f}" for value in shown)
        lines.append(f"{words:<42}{cells}  {unit}{' ' * bool(unit and remark)}{remark}".rstrip())
    return lines


def _grid_lines(grid: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = [
        f"{'images/s, the bare model':<30}{'size':>9}  {'precision':<10}  {'compiled':<8}{'train':>9}{'evaluate':>9}"
    ]
    for row in grid:
        size = f"{row['size'][0]}×{row['size'][1]}"
        cells = f"{row['train_images_s']:>9,.0f}{row['valid_images_s']:>9,.0f}"
        network = f"{row['backbone']} ({row['network']})"
        lines.append(f"{network:<30}{size:>9}  {row['precision']:<10}  {'yes' if row['compile'] else 'no':<8}{cells}")
    return lines
