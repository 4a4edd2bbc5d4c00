"""What is installed: the wheel and the source distribution hold all that a checkout has, and run in an empty folder."""

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.conftest import CONF

ROOT = Path(__file__).parents[1]
BUILD = "import sys, setuptools.build_meta as build; getattr(build, 'build_' + sys.argv[1])(sys.argv[2])"
RUN = """
import lightning_tasks
from lightning_tasks.__main__ import console

print(lightning_tasks.__file__)
assert console(["configs"]) == 0
assert console(["prepare", "--config", "pascal_sample"]) == 0
assert console(["schema", "s.json"]) == 0
console(["fit", "--config=pascal", "-c", "gpu", "--print_config"])
"""


def build(source, kind, folder):
    """Build a `wheel` or an `sdist` of a source folder, and return the file."""
    subprocess.run([sys.executable, "-c", BUILD, kind, str(folder)], cwd=source, check=True, capture_output=True)
    (built,) = folder.iterdir()
    return built


def files_below(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder with what a wheel holds that was built from the source distribution, as an index's is."""
    work = tmp_path_factory.mktemp("wheel")
    source = work / "source"
    unwanted = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "lightning_tasks", source / "lightning_tasks", symlinks=True, ignore=unwanted)
    shutil.copytree(CONF, source / "conf")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in ("sdist", "wheel", "of_sdist"):
        (work / name).mkdir()
    with tarfile.open(build(source, "sdist", work / "sdist")) as archive:
        archive.extraction_filter = getattr(tarfile, "data_filter", None)  # Python has it from 3.11.4 on
        archive.extractall(work)
    (unpacked,) = work.glob("lightning_tasks-*")
    wheels = build(source, "wheel", work / "wheel"), build(unpacked, "wheel", work / "of_sdist")
    names = [set(zipfile.ZipFile(wheel).namelist()) for wheel in wheels]
    assert names[0] == names[1]
    zipfile.ZipFile(wheels[1]).extractall(work / "installed")
    return work / "installed"


@pytest.mark.slow
def test_the_wheel_holds_every_file_of_the_package_and_every_config(installed):
    there = files_below(installed / "lightning_tasks")
    of_checkout = {name for name in files_below(ROOT / "lightning_tasks") if "__pycache__" not in name}
    assert of_checkout | {f"configs/{path.name}" for path in CONF.glob("*.yaml")} == there
    assert {Path(name).suffix for name in there} >= {".j2", ".css", ".js", ".yaml", ".typed"}
    assert {path.name.partition("-")[0] for path in installed.iterdir()} == {"lightning_tasks"}  # and nothing beside it
    (entry_points,) = installed.glob("*.dist-info/entry_points.txt")
    assert "lightning-tasks = lightning_tasks.__main__:console" in entry_points.read_text()


@pytest.mark.slow
def test_it_runs_in_an_empty_folder(installed, tmp_path):
    env = {
        "PYTHONPATH": str(installed),
        "HOME": str(tmp_path),
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"),
    }
    done = subprocess.run([sys.executable, "-c", RUN], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{installed}/lightning_tasks/__init__.py\n")
    for part in ("  pascal_sample ", "400 images", "class_path: lightning_tasks.PascalDataModule", "accelerator: gpu"):
        assert part in done.stdout
    assert (tmp_path / "s.json").is_file()
