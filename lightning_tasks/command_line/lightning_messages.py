"""Which of Lightning's messages a user is not shown: tips, and what a line of ours says better."""

import logging
import re
import warnings

_NOT_SHOWN = (
    "💡 Tip",
    "You are using the plain",
    "GPU available",
    "TPU available",
    "HPU available",
    "Using bfloat16 Automatic",  # the first line says the precision
    "Using 16bit Automatic",
    "`Trainer.fit` stopped",  # `end_of_fit` says it of every end
    "Time limit reached",
    "\nDetected KeyboardInterrupt",
    "Restoring states from",
    "Restored all states from",
    "Loaded model weights from",
    "Found current_model_state",
    "Running in `fast_dev_run`",
    "Trainer already configured with model summary",
    "Loading `train_dataloader`",
    "----",  # the frame around the number of processes
    "distributed_backend",
)
_CONFIGURED = re.compile(r"`Trainer\(.*\)` was configured so")  # repeats what the user has set


def quieten(verb: str | None) -> None:
    """Set aside what tells a user nothing; what he asked Lightning to say, such as `checkpoint.verbose`, is said."""
    logging.getLogger("lightning_fabric.utilities.seed").setLevel(logging.WARNING)  # the config has the seed
    logging.getLogger("pytorch_lightning.utilities.rank_zero").addFilter(_tells)
    warnings.filterwarnings("ignore", message="`isinstance\\(treespec, LeafSpec")  # Lightning's own affair with torch
    if verb != "fit":  # scoring does not need the run's callbacks
        warnings.filterwarnings("ignore", message="Be aware that when using `ckpt_path`")
        warnings.filterwarnings("ignore", message="The dirpath has changed from")


def _tells(record: logging.LogRecord) -> bool:
    message = record.getMessage()
    return not message.startswith(_NOT_SHOWN) and _CONFIGURED.match(message) is None
