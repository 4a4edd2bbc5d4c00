"""Settings that need a package that is not there, and those that the Trainer refuses: one message."""

import re
from pathlib import Path

import pytest

from lightning_tasks.__main__ import console
from lightning_tasks.errors import missing_package
from tests.fakes import LABELS, write_multilabel
from tests.quick_runs import PLAIN, fit, settings


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_multilabel(Path("root"), LABELS)


def told(capsys):
    error = capsys.readouterr().err
    message = error[error.index("error: ") :].strip()
    assert "Traceback" not in error
    assert "\n" not in message
    return message


def absent(monkeypatch, *modules):
    """Let Lightning find that these are not there, wherever the tests run."""
    for module in modules:
        monkeypatch.setattr(f"pytorch_lightning.{module}", Absent())


class Absent:
    def __bool__(self):
        return False

    def __str__(self):
        return "Requirement 'thing>=0.1' not met. HINT: Try running `pip install -U 'thing>=0.1'`"


@pytest.mark.parametrize(
    ("more", "module", "package"),
    [
        (["--trainer.logger", "WandbLogger"], "loggers.wandb._WANDB_AVAILABLE", "thing"),
        (["--trainer.logger", "MLFlowLogger"], "loggers.mlflow._MLFLOW_AVAILABLE", "thing"),
        (["--trainer.logger", "CometLogger"], "loggers.comet._COMET_AVAILABLE", "thing"),
        (["--trainer.callbacks", "RichProgressBar"], "callbacks.progress.rich_progress._RICH_AVAILABLE", "rich"),
        (["--trainer.callbacks", "DeviceStatsMonitor"], "callbacks.device_stats_monitor._PSUTIL_AVAILABLE", "thing"),
    ],
)  # fmt: skip
def test_a_class_whose_package_is_missing_says_what_to_install(more, module, package, monkeypatch, capsys):
    if module.endswith("_PSUTIL_AVAILABLE"):
        monkeypatch.setattr("pytorch_lightning.accelerators.cpu._PSUTIL_AVAILABLE", Absent())
    absent(monkeypatch, module)
    assert fit(*PLAIN, *more) == 2
    assert f"pip install {package} " in told(capsys)


def test_so_it_is_among_several_and_in_a_config(monkeypatch, capsys):
    absent(monkeypatch, "loggers.wandb._WANDB_AVAILABLE")
    loggers = [{"class_path": "CSVLogger", "init_args": {"save_dir": "logs"}}, {"class_path": "WandbLogger"}]
    assert fit(*settings(logger=loggers)) == 2
    assert "pip install thing " in told(capsys)


def test_a_module_of_ones_own_that_misses_something(tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(tmp_path)
    Path("own_callback.py").write_text(
        "from pytorch_lightning import Callback\nclass Own(Callback):\n"
        "    def setup(self, *args, **kwargs):\n        import no_such_package.part\n"
    )
    assert fit(*PLAIN, "--trainer.callbacks", "own_callback.Own") == 2
    assert "pip install no_such_package " in told(capsys)


@pytest.mark.parametrize(
    ("error", "package"),
    [
        (ModuleNotFoundError("Requirement 'wandb>=0.1' not met. Try `pip install -U 'wandb>=0.1'`"), "wandb"),
        (ModuleNotFoundError("`RichProgressBar` requires it. Install it by `pip install -U rich`."), "rich"),
        (ValueError("Problem with given class_path 'a.B':\n  It needs c: pip install c."), "c"),
        (ModuleNotFoundError("No module named 'a.b'", name="a.b"), "a"),
        (ImportError("pip install 'x[y]'"), "x[y]"),
        (ImportError("cannot import name 'z'", name="lightning_tasks.cli"), None),
        (ValueError("pip install x"), None),
        (None, None),
    ],
)  # fmt: skip
def test_what_is_missing_is_found(error, package):
    found = missing_package(error)
    assert (None if found is None else re.search(r"pip install (\S+)", found)[1]) == package


@pytest.mark.parametrize("verb", ["prepare", "check", "summary", "show_batch"])
def test_verbs_that_use_no_model_ask_for_none(verb, capsys):
    data = ["--data", "MultiLabelDataModule", "--data.root", "root", "--data.size", "32", "--data.num_workers", "0"]
    try:
        code = console([verb, *data])
    except SystemExit as left:  # check, of what it finds
        code = left.code
    assert code == (1 if verb == "check" else 0)
    assert "required" not in capsys.readouterr().err


def test_other_verbs_ask_for_one(capsys):
    with pytest.raises(SystemExit):
        console(["fit", "--data", "MultiLabelDataModule", "--data.root", "root"])
    assert "fit.model" in capsys.readouterr().err
