"""scripts/gpu_check.py and what it needs: the pack's numbers, steps that fail or are late, all of it on the CPU."""

import csv
import importlib.metadata
import json
import os
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.fakes import draw_pascal
from tests.scripts import ROOT, SCRIPTS, run_script

sys.path.insert(0, str(SCRIPTS))

import gpu_check
from gpu_checking.table import text


def draw_heads(root, n):
    """Write n grey images of 96×64 pixels with a point in each, in three groups of which one validates."""
    root.mkdir()
    rows = [("fname", "group", "is_valid", "head_x", "head_y")]
    for i in range(n):
        cv2.imwrite(str(root / f"{i}.png"), np.full((64, 96, 3), 16 * (i % 16), np.uint8))
        rows.append((f"{i}.png", f"g{i % 3}", i % 3 == 0, 7.5 + i, 31.5))
    with (root / "points.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)


@pytest.fixture
def pack(tmp_path):
    draw_pascal(tmp_path / "pascal", n=48)
    draw_heads(tmp_path / "heads", 48)
    folders = ["--pascal", str(tmp_path / "pascal"), "--points", str(tmp_path / "heads")]
    sizes = ["--pascal_side", "32", "--points_side", "32", "--points_images", "30"]
    said = run_script("gpu_pack.py", *folders, *sizes, "--output", str(tmp_path / "pack.zip"), folder=tmp_path).stdout
    return tmp_path / "pack.zip", said


def test_a_pack_holds_smaller_images_and_their_points(pack):
    path, said = pack
    with zipfile.ZipFile(path) as content:
        rows = list(csv.DictReader(content.read("points/points.csv").decode().splitlines()))
        image = cv2.imdecode(np.frombuffer(content.read("points/1.png"), np.uint8), cv2.IMREAD_COLOR)
        pascal = list(csv.DictReader(content.read("pascal/train.csv").decode().splitlines()))
        assert {f"pascal/train/{row['fname']}" for row in pascal} <= set(content.namelist())
    assert image.shape == (32, 48, 3)  # half of 64×96
    assert (float(rows[1]["head_x"]), float(rows[1]["head_y"])) == ((7.5 + 1 + 0.5) / 2 - 0.5, 15.5)
    assert [row["is_valid"] for row in rows].count("True") == 16  # all of a half that has fewer than were asked for
    assert len(rows) == 16 + 30
    assert "MiB of 60" in said


def a_report(folder):
    return gpu_check.Report(folder, {"device": "cpu", "tiny": True, "setup_s": 1.0})


def test_a_step_that_fails_or_is_late_is_kept_and_stops_no_other(tmp_path, monkeypatch):
    steps = tmp_path / "fakes" / "gpu_checking"
    steps.mkdir(parents=True)
    note = "import sys, time; open(sys.argv[2], 'w').write('{\"half\": 1}'); "
    for name, end in (("machine", ""), ("batches", "raise SystemExit('no luck')"), ("speed", "time.sleep(60)")):
        (steps / f"{name}.py").write_text(note + end)
    monkeypatch.setenv("PYTHONPATH", str(steps.parent))
    monkeypatch.setattr(gpu_check, "_LEAST_S", 1.2)
    report = a_report(tmp_path / "out")
    for name, limit_s in (("machine", 60), ("batches", 60), ("speed", 0.5)):
        gpu_check.run(gpu_check.Step(name, limit_s), tmp_path, time.time() + 60, report)
    gpu_check.run(gpu_check.Step("train", 60), tmp_path, time.time() + 1, report)
    found = json.loads((tmp_path / "out" / "gpu.json").read_text())["steps"]
    assert [step["passed"] for step in found.values()] == [True, False, False, False]
    assert [step.get("found") for step in found.values()] == [{"half": 1}] * 3 + [None]
    assert found["batches"]["last_lines"] == ["no luck"]
    assert found["speed"]["error"] == "was not done after 2 s"  # a CPU has three times as long
    assert found["train"]["error"] == "no time was left"
    table = (tmp_path / "out" / "gpu.txt").read_text()
    assert table == text(json.loads((tmp_path / "out" / "gpu.json").read_text()))
    assert "batches  FAILED" in table
    assert "no luck" in (tmp_path / "out" / "gpu.log").read_text()


def test_steps_that_run_again_replace_their_own_findings_alone(tmp_path):
    for found in ({"machine": 1, "speed": 2}, {"speed": 3}):
        report = a_report(tmp_path)
        for name, value in found.items():
            report.add(name, {"passed": True, "seconds": 1.0, "found": {"value": value}}, "")
    steps = json.loads((tmp_path / "gpu.json").read_text())["steps"]
    assert {name: step["found"]["value"] for name, step in steps.items()} == {"machine": 1, "speed": 3}
    other = gpu_check.Report(tmp_path, {"device": "cuda", "tiny": False, "setup_s": 1.0})
    assert other.result["steps"] == {}


def test_steps_that_measure_no_time_run_beside_each_other_where_there_are_cores(monkeypatch):
    steps = [gpu_check.Step("a", 1), gpu_check.Step("b", 1, alone=False), gpu_check.Step("c", 1, alone=False)]
    for cores, expected in ((16, [["a"], ["b", "c"]]), (2, [["a"], ["b"], ["c"]])):
        monkeypatch.setattr(os, "cpu_count", lambda cores=cores: cores)
        assert [[step.name for step in group] for group in gpu_check.groups(steps)] == expected


@pytest.mark.slow
@pytest.mark.processes
def test_all_of_it_on_the_cpu_from_the_gathered_wheels_alone(tmp_path, pack):
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    env = {**os.environ, "GPU_FOLDER": str(tmp_path), "OMP_NUM_THREADS": "1"}
    subprocess.run(["bash", str(SCRIPTS / "gpu_wheels.sh"), version], env=env, check=True)
    env |= {"PYTHON": str(machine_without(tmp_path)), "PYTHONPATH": ""}
    command = ["bash", str(SCRIPTS / "gpu_check.sh"), "--device", "cpu", "--tiny", "--output", str(tmp_path / "out")]
    ended = subprocess.run([*command, "--minutes", "20"], env=env, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout[-5000:] + ended.stderr[-2000:]
    steps = json.loads((tmp_path / "out" / "gpu.json").read_text())["steps"]
    assert set(steps) == {step.name for step in gpu_check.STEPS}
    assert set(steps["repeat"]["found"].values()) == {"equal to the bit"}
    assert steps["resume"]["found"]["end"] == "equal to the bit"
    assert "--data.batch_size" in steps["memory"]["found"]["said"]
    assert steps["pair"]["found"]["gloo"]["codes"] == [0, 0]


def machine_without(folder: Path) -> Path:
    """Return a Python that has what this one has, but for this project and what was gathered for it."""
    listed = (SCRIPTS / "gpu_wheels.txt").read_text().splitlines()
    gathered = {line.split("#")[0].strip() for line in listed} | {"lightning-tasks", "opencv-python", "pywavelets"}
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / "machine")], check=True)
    site = next((folder / "machine" / "lib").glob("python*")) / "site-packages"
    for distribution in importlib.metadata.distributions():
        if distribution.metadata["Name"].lower().replace("_", "-") in gathered:
            continue
        for top in {file.parts[0] for file in distribution.files or [] if file.parts[0] not in ("..", "__pycache__")}:
            if not (site / top).exists() and not top.startswith("__editable__"):
                (site / top).symlink_to(distribution.locate_file(top))
    return folder / "machine" / "bin" / "python"


def test_the_wheels_are_of_packages_that_are_pinned():
    pinned = {line.split("==")[0] for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line}
    listed = [line.split("#")[0].strip() for line in (SCRIPTS / "gpu_wheels.txt").read_text().splitlines()]
    assert {name for name in listed if name} <= pinned
