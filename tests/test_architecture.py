"""The house: imports run one way, and files stay small."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "lightning_tasks"
MODULES = sorted(PACKAGE.rglob("*.py"))

# Folder → the folders and top files it may import; what is not named may import everything.
MAY_IMPORT = {
    "errors": set(),
    "filesystem": set(),
    "csv_text": {"filesystem", "output"},
    "batch": set(),
    "evaluation": set(),
    "data": {"errors", "batch", "filesystem", "output"},
    "tasks": {"errors", "batch", "evaluation", "filesystem"},
    "training": {"errors", "filesystem", "output", "reports"},
    "deploy": {"errors", "batch", "checkpoint", "csv_text", "data", "evaluation", "filesystem", "output", "tasks"},
    "commands": set(),
    "reports": {"errors", "batch", "evaluation", "filesystem", "output"},
    "output": {"errors", "filesystem"},
    "checkpoint": {"errors", "filesystem"},
    "metrics_csv": set(),
    "runs": {"errors", "filesystem", "metrics_csv", "training"},
}


def part_of(module):
    return module.relative_to(PACKAGE).with_suffix("").parts[0]


def imported_parts(module):
    for node in ast.walk(ast.parse(module.read_text())):
        names = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        for name in names:
            if name.startswith("lightning_tasks."):
                yield name.split(".")[1]


@pytest.mark.parametrize("module", MODULES, ids=lambda m: str(m.relative_to(PACKAGE)))
def test_imports_run_one_way(module):
    part = part_of(module)
    if part in MAY_IMPORT:
        assert set(imported_parts(module)) <= MAY_IMPORT[part] | {part}


def test_the_schedule_imports_nothing_of_ours():
    assert not list(imported_parts(PACKAGE / "training" / "schedule.py"))


@pytest.mark.parametrize("module", MODULES, ids=lambda m: str(m.relative_to(PACKAGE)))
def test_no_file_is_long(module):
    assert len(module.read_text().splitlines()) <= 300


def test_help_and_version_need_neither_torch_nor_lightning():
    code = (
        "import sys; from lightning_tasks.__main__ import console; "
        "assert console(['--help']) == console([]) == console(['--version']) == 0; "
        "assert not {'torch', 'pytorch_lightning', 'cv2'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "lightning-tasks fit" in done.stdout


def test_the_command_line_imports_only_what_every_training_needs():
    code = (
        "import sys, lightning_tasks.cli; "
        "extras = {'captum', 'fastapi', 'onnx', 'onnxruntime', 'optuna', 'uvicorn'}; "
        "unneeded = (extras | {'jinja2', 'requests', 'urllib3'}) & set(sys.modules); "
        "assert not unneeded, unneeded"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_garbage_collector_leaves_the_imports_alone_until_the_end():
    code = """
import atexit, gc, sys
from lightning_tasks.__main__ import console

frozen = []  # objects out of its sight, at each collection from torch's import on
gc.callbacks.append(lambda phase, info: "torch" in sys.modules and frozen.append(gc.get_freeze_count()))
atexit.register(lambda: print(frozen[0], gc.isenabled(), gc.get_freeze_count()))
console(["prepare", "--help"])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    frozen, enabled, frozen_at_the_end = done.stdout.split()[-3:]
    assert int(frozen) > 100_000
    assert (enabled, frozen_at_the_end) == ("True", "0")
    assert "leaked" not in done.stderr


def test_public_names_are_all_there():
    import lightning_tasks

    assert all(getattr(lightning_tasks, name) for name in lightning_tasks.__all__)
    with pytest.raises(AttributeError):
        _ = lightning_tasks.nothing


def test_importing_the_data_asks_no_network():
    code = (
        "import os, socket; socket.socket.connect = None; import lightning_tasks.data; "
        "assert os.environ['NO_ALBUMENTATIONS_UPDATE'] == '1'"
    )
    # Without the variable that this process has set by now.
    env = {name: value for name, value in os.environ.items() if name != "NO_ALBUMENTATIONS_UPDATE"}
    command = [sys.executable, "-W", "error::UserWarning", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr


def test_a_missing_libgl_is_named_with_its_package(tmp_path):
    (tmp_path / "cv2.py").write_text(
        "raise ImportError('libGL.so.1: cannot open shared object file: No such file or directory')"
    )
    done = subprocess.run(
        [sys.executable, "-m", "lightning_tasks", "fit", "--config", "x.yaml"],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": f"{tmp_path}:{PACKAGE.parent}", "PATH": ""},
    )
    assert done.returncode == 2
    assert re.match(r"error: .*libGL\.so\.1.*apt-get install libgl1", done.stderr), done.stderr
    assert "Traceback" not in done.stderr
