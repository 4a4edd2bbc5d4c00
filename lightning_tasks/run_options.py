"""What a run's config holds beside model, data and trainer."""

from jsonargparse.typing import NonNegativeInt
from pytorch_lightning.cli import LightningArgumentParser

from lightning_tasks.callbacks import LastCheckpoint
from lightning_tasks.callbacks.checkpoint_places import BestCheckpoint

MODELS_OWN = "auto"  # which score tells the best checkpoint: the model says it, see `ImageModel`


def add_seed(parser: LightningArgumentParser) -> None:
    """Add the seed to a parser."""
    parser.add_argument(
        "--seed_everything", type=NonNegativeInt, default=42, help="of weights, dropout, order and augmentation"
    )


def add_run_options(parser: LightningArgumentParser) -> None:
    """Add the run's folder and its checkpoints to a parser."""
    parser.add_argument("--runs_dir", type=str, default="runs", help="folder of all runs")
    parser.add_argument(
        "--run_name", type=str | None, default=None, help="folder of this task's runs in it; null: the data's name"
    )
    parser.add_lightning_class_args(BestCheckpoint, "checkpoint")
    parser.set_defaults(
        {
            "checkpoint.monitor": MODELS_OWN,
            "checkpoint.mode": MODELS_OWN,
            "checkpoint.filename": "best",
            "checkpoint.auto_insert_metric_name": False,
            "checkpoint.enable_version_counter": False,  # a resumed run may find the file that it had written
        }
    )
    parser.add_lightning_class_args(LastCheckpoint, "last")
