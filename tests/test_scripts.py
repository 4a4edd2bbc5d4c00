"""The scripts and the lists of dependencies they install from."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
REQUIREMENTS = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["dev"]]
CONSTRAINTS = (ROOT / "constraints.txt").read_text().splitlines()


def plain(name):
    return re.split(r"[\[<>=!~; ]", name)[0].lower().replace("_", "-")


@pytest.mark.parametrize("script", sorted(path.name for path in (ROOT / "scripts").glob("*.sh")))
def test_scripts_are_valid_shell(script):
    subprocess.run(["bash", "-n", str(ROOT / "scripts" / script)], check=True)


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
