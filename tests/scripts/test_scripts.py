"""The scripts and the lists of dependencies they install from."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
REQUIREMENTS = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["dev"]]
CONSTRAINTS = (ROOT / "constraints.txt").read_text().splitlines()


def plain(name):
    return re.split(r"[\[<>=!~; ]", name)[0].lower().replace("_", "-")


@pytest.mark.parametrize("script", sorted(path.name for path in (ROOT / "scripts").glob("*.sh")))
def test_scripts_are_valid_shell(script):
    subprocess.run(["bash", "-n", str(ROOT / "scripts" / script)], check=True)


def test_tests_that_take_long_run_where_everything_is_asked_for():
    markers = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]["markers"]
    names = [line.partition(":")[0] for line in markers]
    quick = " and ".join(f"not {name}" for name in names)
    assert f'-m "{quick}"' in (ROOT / "scripts" / "test.sh").read_text()
    assert "bash scripts/test.sh --all" in (ROOT / ".ci" / "run").read_text().splitlines()


def test_every_dependency_has_a_tested_version():
    tested = {plain(line) for line in CONSTRAINTS}
    assert {plain(requirement) for requirement in REQUIREMENTS} <= tested


def test_constraints_are_names_and_versions_alone():
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+==[A-Za-z0-9_.+!-]+", line) for line in CONSTRAINTS)


def test_every_bound_has_its_reason():
    lines = (ROOT / "pyproject.toml").read_text().splitlines()
    for requirement in REQUIREMENTS:
        line = next(line for line in lines if f'"{requirement}"' in line)
        assert "  # " in line.replace(", #", ",  #"), line


def test_the_malicious_versions_are_excluded():
    (lightning,) = (r for r in REQUIREMENTS if r.startswith("pytorch-lightning"))
    assert {"!=2.6.2", "!=2.6.3"} <= set(re.split(r"[,]", lightning.removeprefix("pytorch-lightning")))


# In place of Python: as it is, but for what `first` says first; its version is another's.
FAKE_PYTHON = "#!/bin/sh\n[ $1 = -c ] && exec {real} -c 'import sys; {first}'\"; $2\" || echo Python 3.10.13\n"


@pytest.mark.parametrize(
    ("first", "message"),
    [
        ("sys.version_info = (3, 10, 13)", r"Python 3\.11 to 3\.14 is needed; python3 is Python 3\.10\.13"),
        ('sys.modules["ensurepip"] = None', "apt-get install python3-venv"),
        (None, "there is no python3"),
    ],
    ids=["too_old", "without_ensurepip", "none"],
)
def test_a_python_that_will_not_do_is_named_at_once(tmp_path, first, message):
    (tmp_path / "bin").mkdir()
    for name in ("dirname", "rm"):
        (tmp_path / "bin" / name).symlink_to(shutil.which(name))
    if first is not None:
        (tmp_path / "bin" / "python3").write_text(FAKE_PYTHON.format(real=sys.executable, first=first))
        (tmp_path / "bin" / "python3").chmod(0o755)
    (tmp_path / "scripts").mkdir()
    for name in ("quickstart.sh", "environment.sh"):
        shutil.copy(ROOT / "scripts" / name, tmp_path / "scripts")
    (tmp_path / ".venv" / "bin").mkdir(parents=True)  # of a call that was stopped while it made it
    (tmp_path / ".venv" / "bin" / "python").symlink_to(sys.executable)
    command = [shutil.which("bash"), "scripts/quickstart.sh"]
    made = subprocess.run(command, cwd=tmp_path, env={"PATH": str(tmp_path / "bin")}, capture_output=True, text=True)
    assert made.returncode == 2
    assert re.fullmatch(rf"error: .*{message}.*\n", made.stderr), made.stderr
