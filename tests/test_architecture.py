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

# Room → the rooms that it may import: each folder, each file beside the folders, and in tasks/ each task and each file.
_FILES = {"atomic_write", "errors", "filesystem"}
_INTERFACE = {f"tasks/{file}" for file in ("task", "config_draft", "table_draft", "prediction", "recipe",
                                           "sample_steps", "split_predictions", "suspects")}  # fmt: skip
_BELOW_TASKS = {"batch", "checkpoint", "csv_text", "data", "devices", "models", "reports", *_FILES}
_ASKS_TASKS = {"tasks/registry", *_INTERFACE}
TASKS = {"tasks/keypoints", "tasks/multiclass", "tasks/multilabel", "tasks/values"}
PARENTS = {"tasks/multiclass": {"tasks/multilabel"}}  # whose classes a task's own are subclasses of
MAY_IMPORT = {
    "batch": set(),
    "cores": set(),
    "errors": set(),
    "yaml_text": set(),
    "devices": {"cores", "errors"},
    "filesystem": {"errors"},
    "atomic_write": {"errors", "filesystem"},
    "config_files": {"errors", "filesystem", "yaml_text"},
    "csv_text": {"atomic_write", "filesystem"},
    "metrics_csv": {"atomic_write"},
    "renamed_options": {"errors", "yaml_text"},
    "checkpoint": {"renamed_options", *_FILES},
    "data": {"batch", "cores", "renamed_options", *_FILES},
    "models": {"batch", "errors", "filesystem"},
    "reports": _FILES,
    "training": {"atomic_write", "errors"},
    **dict.fromkeys(_INTERFACE, _BELOW_TASKS | _INTERFACE),
    **{task: _BELOW_TASKS | _INTERFACE | PARENTS.get(task, set()) for task in TASKS},
    "tasks/registry": {"errors", "tasks/task", *TASKS},
    "tasks": {"data", *TASKS},  # its __init__: the public names
    "probe": {"batch", "data", "models", *_FILES},
    "callbacks": {"checkpoint", "data", "models", "probe", "reports", "tasks/registry", "tasks/task", "training",
                  *_FILES},
    "folds": {"tasks/split_predictions", "training", *_FILES},
    "run_folders": {"callbacks", "errors", "filesystem", "metrics_csv", "training"},
    "run_options": {"callbacks"},
    "deploy": {"cores", "folds", "tasks", *_BELOW_TASKS, *_ASKS_TASKS},
    "verbs": {"callbacks", "config_files", "cores", "deploy", "folds", "probe", "run_folders", "run_options",
              "tasks", "training", "yaml_text", *_BELOW_TASKS, *_ASKS_TASKS},
    "trainer": {"reports", "training", "verbs"},
    "command_line": {"checkpoint", "config_files", "cores", "devices", "folds", "models", "renamed_options",
                     "run_options", "tasks/registry", "verbs", "yaml_text", *_FILES},
    "cli": {"callbacks", "checkpoint", "command_line", "data", "devices", "errors", "filesystem", "models",
            "renamed_options", "reports", "run_folders", "run_options", "tasks/registry", "trainer", "training",
            "verbs", "yaml_text"},
    "crossval": {"callbacks", "cli", "command_line", "data", "folds", "renamed_options", "reports", "run_folders",
                 "tasks/registry", "training", "verbs", *_FILES},
    "__main__": {"__init__", "cli", "command_line", "crossval", "errors", "verbs"},
    "__init__": {"callbacks", "deploy", "tasks"},
}  # fmt: skip
SCREEN = 50  # lines of a function's body
CAPABILITY_CHECKS = 4  # how often code outside tasks/ may ask whether a thing is of one task's class
# The words of the field: what they stand in place of, and where those may stand all the same.
NOT_OUR_WORDS = {
    r"picture": {"renamed_options.py", "deploy/server/upload.py"},  # the old name of an option, and of a form's field
    r"\bthe book\b|walk-through": set(),
    r"\bgo(ing|es|ne)? on with\b|\brun that goes on\b": set(),
}


def room_of(path):
    """Return the room of a file's or module's parts below the package."""
    first, *others = path
    return f"tasks/{others[0]}" if first == "tasks" and others and others[0] != "__init__" else first


def imported_rooms(module):
    for node in ast.walk(ast.parse(module.read_text())):
        names = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        for name in names:
            package, *path = name.split(".")
            if package == "lightning_tasks" and path:
                yield room_of(path) if room_of(path) in MAY_IMPORT else room_of(path[:1])


def room_of_file(module):
    return room_of(module.relative_to(PACKAGE).with_suffix("").parts)


@pytest.mark.parametrize("module", MODULES, ids=lambda m: str(m.relative_to(PACKAGE)))
def test_imports_run_one_way(module):
    room = room_of_file(module)
    imported = {"__init__" if name not in MAY_IMPORT else name for name in imported_rooms(module)}
    assert imported <= MAY_IMPORT[room] | {room}


def test_every_task_and_every_room_is_in_the_table():
    assert {room_of_file(module) for module in MODULES} == set(MAY_IMPORT)
    assert {f"tasks/{path.parent.name}" for path in (PACKAGE / "tasks").glob("*/task.py")} == TASKS


def test_the_schedule_imports_nothing_of_ours():
    assert not list(imported_rooms(PACKAGE / "training" / "schedule.py"))


def test_nobody_asks_which_task_it_is():
    of_tasks = {
        node.name
        for module in MODULES
        if room_of_file(module) in TASKS
        for node in ast.walk(ast.parse(module.read_text()))
        if isinstance(node, ast.ClassDef)
    }
    asked = [
        f"{module.relative_to(PACKAGE)}:{node.lineno}"
        for module in MODULES
        if not room_of_file(module).startswith("tasks/")
        for node in ast.walk(ast.parse(module.read_text()))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("isinstance", "issubclass")
        if {getattr(part, "id", getattr(part, "attr", "")) for part in ast.walk(node.args[1])} & of_tasks
    ]
    assert len(asked) <= CAPABILITY_CHECKS, asked


@pytest.mark.parametrize("module", MODULES, ids=lambda m: str(m.relative_to(PACKAGE)))
def test_no_file_is_long_and_no_function_longer_than_a_screen(module):
    text = module.read_text()
    assert len(text.splitlines()) <= 300
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            code = node.body[1:] if ast.get_docstring(node) is not None else node.body
            length = code[-1].end_lineno - code[0].lineno + 1 if code else 0
            assert length <= SCREEN, f"{node.name}: {length} lines"


@pytest.mark.parametrize("pattern", NOT_OUR_WORDS)
def test_the_words_are_the_fields(pattern):
    files = [path for path in PACKAGE.rglob("*") if path.suffix in (".py", ".j2", ".js", ".css")]
    found = {
        f"{path.relative_to(PACKAGE)}:{number}"
        for path in files
        if str(path.relative_to(PACKAGE)) not in NOT_OUR_WORDS[pattern]
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if re.search(pattern, line, re.IGNORECASE)
    }
    assert not found


def test_help_and_version_need_neither_torch_nor_lightning():
    code = (
        "import sys; from lightning_tasks.__main__ import console; "
        "assert console(['--help']) == console([]) == console(['--version']) == 0; "
        "from lightning_tasks import yaml_text; import lightning_tasks.command_line.functions; "
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


EXTRAS = {"captum", "cleanlab", "fastapi", "onnx", "onnxruntime", "optuna", "uvicorn"}


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
