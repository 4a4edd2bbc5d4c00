"""config.yaml in a run's folder."""

from pathlib import Path

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.cli import SaveConfigCallback

from lightning_tasks.atomic_write import put_whole


class SavedConfig(SaveConfigCallback):
    """Write the run's settings whole or not at all; Lightning's own would leave half of them after a kill."""

    def save_config(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Write config.yaml into the run's folder; the first process alone comes here."""
        text = self.parser.dump(self.config, skip_none=False)
        path = Path(trainer.default_root_dir) / self.config_filename
        put_whole(path, lambda new: new.write_text(text, encoding="utf-8"))
