"""A run's config.yaml is there whole or not at all."""

from types import SimpleNamespace

import pytest

from lightning_tasks.command_line.run_settings import SavedConfig


def test_a_failure_on_the_way_leaves_no_half_config(tmp_path, monkeypatch):
    parser = SimpleNamespace(dump=lambda config, skip_none: f"name: {config}\n")
    trainer = SimpleNamespace(default_root_dir=str(tmp_path / "run"))
    SavedConfig(parser, "Müller", save_to_log_dir=False).save_config(trainer, None, "fit")
    assert (tmp_path / "run" / "config.yaml").read_bytes() == "name: Müller\n".encode()

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        SavedConfig(parser, "other", save_to_log_dir=False).save_config(trainer, None, "fit")
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["config.yaml"]
    assert (tmp_path / "run" / "config.yaml").read_bytes() == "name: Müller\n".encode()
