"""metrics.csv, for runs that are killed and resumed."""

import csv
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import CSVLogger
from pytorch_lightning.loggers.csv_logs import ExperimentWriter
from pytorch_lightning.loggers.logger import rank_zero_experiment  # type: ignore[attr-defined]  # not re-exported

from lightning_tasks.atomic_write import put_whole


class MetricsCSV(CSVLogger):
    """Lightning's CSVLogger, but it keeps an existing metrics.csv's rows before `first_step`, and a kill loses none."""

    def __init__(self, save_dir: str, name: str, version: str, first_step: int) -> None:
        super().__init__(save_dir, name, version)
        self._first_step = first_step

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:  # noqa: ANN401 - as the base class has it, through its decorator
        """The writer, made on first use."""
        if self._experiment is None:
            self._experiment = _Writer(self.log_dir, self._first_step)
        return self._experiment


class _Writer(ExperimentWriter):
    def __init__(self, log_dir: str, first_step: int) -> None:
        self._first_step = first_step
        super().__init__(log_dir=log_dir)

    def _check_log_dir_exists(self) -> None:
        """Drop what came after the checkpoint; Lightning drops everything."""
        path = Path(self.metrics_file_path)
        if not path.is_file():
            return
        columns, rows = _complete_rows(path)
        self.metrics_keys = columns
        _write(path, columns, [row for row in rows if int(row["step"]) < self._first_step])

    def _rewrite_with_new_header(self, fieldnames: list[str]) -> None:
        path = Path(self.metrics_file_path)
        _write(path, fieldnames, _complete_rows(path)[1])


def _complete_rows(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    """Return columns and rows; a last row that a kill cut short is left out."""
    with path.open(newline="", encoding="utf-8") as file:
        lines = [line for line in file if line.endswith("\r\n")]
    reader = csv.DictReader(lines)
    return list(reader.fieldnames or []), list(reader)


def _write(path: Path, columns: list[str], rows: list[dict[str, str]]) -> None:

    def write(new: Path) -> None:
        with new.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, fieldnames=columns)
            if columns:
                writer.writeheader()
            writer.writerows(rows)

    put_whole(path, write)
