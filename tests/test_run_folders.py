from pathlib import Path

import pytest

from lightning_tasks.errors import ConfigError
from lightning_tasks.run_folders import new_run_folder, relative_path, run_name


def test_each_run_gets_the_next_number(tmp_path):
    assert [new_run_folder(tmp_path, "a").name for _ in range(3)] == ["version_0", "version_1", "version_2"]
    (tmp_path / "a" / "version_0").rmdir()
    (tmp_path / "a" / "version_x").mkdir()
    assert new_run_folder(tmp_path, "a").name == "version_3"  # a number is never used twice
    assert new_run_folder(tmp_path, "b").name == "version_0"


def test_only_the_first_process_makes_a_folder(tmp_path, monkeypatch):
    monkeypatch.setattr("lightning_tasks.run_folders.rank_zero_only.rank", 1, raising=False)
    assert not new_run_folder(tmp_path, "a").exists()


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"file/a cannot be made.*--runs_dir"):
        new_run_folder(tmp_path / "file", "a")


def test_names_come_from_the_data_module():
    assert run_name("lightning_tasks.PascalSampleDataModule") == "pascal_sample"
    assert run_name("KeypointDataModule") == "keypoint"


def test_paths_are_shown_from_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert relative_path(tmp_path / "runs" / "x") == "runs/x"
    assert relative_path(Path("/etc/x")) == "/etc/x"
