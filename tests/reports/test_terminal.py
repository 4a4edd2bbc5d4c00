"""What stands on a terminal, and in a file, during a run."""

import io
import re

import pytest

from lightning_tasks.__main__ import console
from lightning_tasks.reports.terminal import TerminalBar
from tests.conftest import CONF
from tests.fakes import LABELS, write_multilabel


class Output(io.StringIO):
    """A terminal or a file."""

    def __init__(self, terminal):
        super().__init__()
        self.terminal = terminal

    def isatty(self):
        return self.terminal

    def lines(self):
        """Return what a terminal would show: tqdm returns to a line's beginning, and moves up and down."""
        rows, y, x = [""], 0, 0
        for part in re.findall(r"\x1b\[A|[\r\n]|[^\x1b\r\n]+", self.getvalue()):
            if part == "\r":
                x = 0
            elif part == "\n":
                y, x = y + 1, 0
                rows += [""] * (y + 1 - len(rows))
            elif part == "\x1b[A":
                y -= 1
            else:
                rows[y] = rows[y][:x].ljust(x) + part + rows[y][x + len(part) :]
                x += len(part)
        return [row.rstrip() for row in rows]


@pytest.mark.parametrize("terminal", [True, False])
def test_the_table_stands_by_itself(tmp_path, monkeypatch, terminal):
    monkeypatch.chdir(tmp_path)
    write_multilabel(tmp_path / "root", LABELS)
    output = Output(terminal)
    monkeypatch.setattr("sys.stdout", output)
    args = ["fit", "--config", str(CONF / "multilabel.yaml"), "--data.root", "root", "--data.size", "[32,40]"]
    args += ["--data.batch_size", "2", "--data.num_workers", "0", "--trainer.accelerator", "cpu"]
    args += ["--model.backbone", "test_resnet", "--model.pretrained", "false", "--trainer.max_epochs", "2"]
    assert console(args) == 0
    lines = output.lines()
    header = next(n for n, line in enumerate(lines) if "train/loss" in line)
    assert lines[header].startswith("epoch  train/loss")
    assert [line.split()[0] for line in lines[header + 1 : header + 3]] == ["0", "1"]
    assert all(re.fullmatch(r"[ \d.]+", line) for line in lines[header + 1 : header + 3])
    bar = [lines[header + 3]] if terminal else []
    assert all(line.startswith("Epoch 1: 100%") for line in bar)
    assert lines[header + 3 + len(bar)].startswith("best checkpoint ")
    assert [line.split()[0] for line in lines if " parameters " in line] == ["backbone", "head", "model"]
    assert "v_num" not in output.getvalue()
    assert ("\r" in output.getvalue()) == terminal


def test_an_error_begins_on_a_line_of_its_own(monkeypatch):
    output = Output(terminal=True)
    monkeypatch.setattr("sys.stdout", output)
    bar = TerminalBar()
    bar.train_progress_bar = bar.init_train_tqdm()
    assert not output.getvalue().endswith("\n")
    bar.on_exception(None, None, KeyboardInterrupt())
    assert output.getvalue().endswith("\n")
