"""What a checkpoint and its run's folder say of the run, for the report."""

import contextlib
import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from lightning_tasks.filesystem import is_file
from lightning_tasks.reports.figures import Chart, learning_curves, lr_find_chart

_IN_A_RUN = ("config.yaml", "metrics.csv")
_PACKAGES = ("lightning-tasks", "torch", "pytorch-lightning", "timm")


@dataclass(frozen=True)
class RunInfo:
    """All that is shown of a run, whatever its task."""

    checkpoint: Path
    folder: Path
    settings: dict[str, dict[str, Any]]  # section → name → value
    config: str  # the text of config.yaml; empty where there is none
    curves: list[Chart]
    lr_find: Chart | None
    lr_find_csv: Path | None  # where the finder's curve comes from

    @property
    def name(self) -> str:
        """The run's folder, as in `runs/<data>/version_N`."""
        return f"{self.folder.parent.name} / {self.folder.name}" if self.folder.parent.name else self.folder.name


def folder_of_run(checkpoint: Path) -> Path:
    """Return the run's folder: that above the last `checkpoints`, or the checkpoint's own where it lies elsewhere."""
    folder = checkpoint.absolute().parent  # not where a link leads
    if any(is_file(folder / name) for name in _IN_A_RUN):
        return folder
    return next((above.parent for above in (folder, *folder.parents) if above.name == "checkpoints"), folder)


def read_run(path: Path, checkpoint: Mapping[str, Any], folder: Path | None = None) -> RunInfo:
    """Return the run of the checkpoint at `path`, in `folder` or `folder_of_run`'s; what that lacks is left out."""
    folder = folder or folder_of_run(path)
    model = _settings(checkpoint.get("hyper_parameters", {}))
    lr, lr_find_csv = model.get("lr"), _lr_find_csv(folder)
    config = folder / "config.yaml"
    return RunInfo(
        checkpoint=path,
        folder=folder,
        settings={
            "Checkpoint": {
                "file": path,
                "epoch": checkpoint.get("epoch"),
                "step": checkpoint.get("global_step"),
                "trained with pytorch-lightning": checkpoint.get("pytorch-lightning_version"),
            },
            "Model": model,
            "Data": _settings(checkpoint.get("datamodule_hyper_parameters", {})),
            "Versions that wrote this page": _versions(),
        },
        config=config.read_text(encoding="utf-8", errors="replace") if is_file(config) else "",
        curves=learning_curves(_rows(folder / "metrics.csv")),
        lr_find=lr_find_chart(_rows(lr_find_csv), lr if isinstance(lr, float) else None),
        lr_find_csv=lr_find_csv,
    )


def _settings(hyper_parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the class and its arguments, without the entries that are Lightning's own."""
    known = {"class": hyper_parameters["_class_path"]} if "_class_path" in hyper_parameters else {}
    return {**known, **{name: value for name, value in hyper_parameters.items() if not name.startswith("_")}}


def _versions() -> dict[str, str]:
    found = {}
    for package in _PACKAGES:
        with contextlib.suppress(PackageNotFoundError):  # ours may run from a checkout
            found[package] = version(package)
    return found


def _lr_find_csv(folder: Path) -> Path | None:
    """Return the run's own curve, or else that of the newest `lr_find_N` beside it."""
    if is_file(folder / "lr_find.csv"):
        return folder / "lr_find.csv"
    beside = {
        int(found[1]): path
        for path in folder.parent.glob("lr_find_*/lr_find.csv")
        if (found := re.fullmatch(r"lr_find_(\d+)", path.parent.name))
    }
    return beside[max(beside)] if beside else None


def _rows(path: Path | None) -> list[dict[str, str]]:
    if path is None or not is_file(path):
        return []
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        return list(csv.DictReader(file, restkey=""))
