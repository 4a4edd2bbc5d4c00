"""The house: imports run one way, and files stay small."""

import ast
import json
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from lightning_tasks.errors import MissingLibraryError

PACKAGE = Path(__file__).parents[1] / "lightning_tasks"
MODULES = sorted(PACKAGE.rglob("*.py"))

# Folder → the folders and top files it may import; what is not named may import everything.
MAY_IMPORT = {
    "errors": set(),
    "cores": set(),
    "yaml_text": set(),
    "batch": set(),
    "filesystem": {"errors"},
    "atomic_write": {"errors", "filesystem", "reports"},
    "csv_text": {"atomic_write", "filesystem"},
    "metrics_csv": {"atomic_write"},
    "checkpoint": {"atomic_write", "errors", "filesystem"},
    "config_paths": {"filesystem"},
    "devices": {"errors"},
    "run_folders": {"atomic_write", "callbacks", "errors", "filesystem", "metrics_csv", "training"},
    "data": {"atomic_write", "batch", "cores", "errors", "filesystem"},
    "models": {"batch", "errors", "filesystem"},
    "training": {"atomic_write", "errors", "filesystem"},
    "commands": {"config_paths", "devices", "errors", "yaml_text"},
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


IMPORTS = """
import atexit, gc, json, os, socket, sys
socket.socket.connect = None
from lightning_tasks.__main__ import console

said, frozen = {}, []  # of the latter: objects out of the collector's sight, at each collection from torch's import on
gc.callbacks.append(lambda phase, info: "torch" in sys.modules and frozen.append(gc.get_freeze_count()))

def end():
    said["collector"] = [frozen[0], gc.isenabled(), gc.get_freeze_count()]
    print(json.dumps(said))

atexit.register(end)
try:
    console(["prepare", "--help"])
except SystemExit:
    pass
said["update"] = os.environ["NO_ALBUMENTATIONS_UPDATE"]
said["verb"] = list(sys.modules)
import lightning_tasks.verbs.predict, lightning_tasks.verbs.serve
said["deploy"] = list(sys.modules)
"""


@pytest.fixture(scope="module")
def imported():
    """What one process says that imports the command line without a network, and what it writes to stderr."""
    # Without the variable that this process has set by now.
    env = {name: value for name, value in os.environ.items() if name != "NO_ALBUMENTATIONS_UPDATE"}
    command = [sys.executable, "-W", "error::UserWarning", "-c", IMPORTS]
    done = subprocess.run(command, capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1]), done.stderr


EXTRAS = {"captum", "fastapi", "onnx", "onnxruntime", "optuna", "uvicorn"}


def test_the_command_line_imports_only_what_every_training_needs(imported):
    said, _ = imported
    assert "torch" in said["verb"]
    assert not (EXTRAS | {"jinja2", "requests", "urllib3"}) & set(said["verb"])


def test_nobody_but_the_server_imports_its_libraries(imported):
    said, _ = imported
    assert not {"fastapi", "uvicorn", "starlette"} & set(said["deploy"])


def test_the_garbage_collector_leaves_the_imports_alone_until_the_end(imported):
    said, errors = imported
    frozen, enabled, frozen_at_the_end = said["collector"]
    assert frozen > 100_000
    assert (enabled, frozen_at_the_end) == (True, 0)
    assert "leaked" not in errors


def test_importing_asks_no_network(imported):
    said, _ = imported
    assert said["update"] == "1"


def test_public_names_are_all_there():
    import lightning_tasks

    assert all(getattr(lightning_tasks, name) for name in lightning_tasks.__all__)
    with pytest.raises(AttributeError):
        _ = lightning_tasks.nothing


@pytest.fixture
def no_libgl(tmp_path):
    """A folder in which OpenCV cannot start."""
    (tmp_path / "cv2.py").write_text(
        "raise ImportError('libGL.so.1: cannot open shared object file: No such file or directory')"
    )
    return tmp_path


def test_a_missing_libgl_is_told(no_libgl, monkeypatch):
    module = PACKAGE / "data" / "images" / "opencv.py"
    monkeypatch.syspath_prepend(no_libgl)
    monkeypatch.delitem(sys.modules, "cv2")
    with pytest.raises(MissingLibraryError, match=r"libGL\.so\.1.*apt-get install libgl1"):
        runpy.run_path(str(module))


@pytest.mark.processes
def test_a_missing_libgl_is_named_with_its_package(no_libgl):
    done = subprocess.run(
        [sys.executable, "-m", "lightning_tasks", "fit", "--config", "x.yaml"],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": f"{no_libgl}:{PACKAGE.parent}", "PATH": ""},
    )
    assert done.returncode == 2
    assert re.match(r"error: .*libGL\.so\.1.*apt-get install libgl1", done.stderr), done.stderr
    assert "Traceback" not in done.stderr
