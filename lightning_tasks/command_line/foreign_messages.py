"""What other libraries say: of a user's mistake one message, as ours are, without a traceback; of tips nothing."""

import contextlib
import errno
import linecache
import logging
import re
import traceback
import warnings
from collections.abc import Iterator

from lightning_fabric.utilities.exceptions import MisconfigurationException

from lightning_tasks.errors import ConfigError, MissingLibraryError, missing_package, users_mistake

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
_LIGHTNING = ("pytorch_lightning", "lightning_fabric")
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
_NO_CLASS = ("class_path 'pytorch_lightning.LightningModule'", "class_path 'pytorch_lightning.LightningDataModule'")
_NO_SECTION = re.compile(r"the following arguments are required: \w+\.(model|data)\b")
_CONFIGURED = re.compile(r"`Trainer\(.*\)` was configured so")  # repeats what the user has set


@contextlib.contextmanager
def translate_foreign_errors() -> Iterator[None]:
    """Turn errors of Lightning's, of packages that are missing and of full disks into ours; let others pass.

    Raises:
        ConfigError: Lightning refused a setting, or a file cannot be written.
        MissingLibraryError: a package is missing.
    """
    try:
        yield
    except (ImportError, RuntimeError, TypeError, ValueError, MisconfigurationException) as error:
        if not isinstance(error, MisconfigurationException):  # Lightning's own word for a user's mistake
            if users_mistake(error) is not None:  # jsonargparse wraps what a class raises into ValueErrors
                raise
            if (missing := missing_package(error)) is not None:
                raise MissingLibraryError(missing) from error
            if not _raised_by_lightning(error):
                raise
        raise ConfigError(" ".join(str(error).split())) from error
    except OSError as error:
        if error.errno not in _FULL:
            raise
        where = f" ({error.filename})" if error.filename else ""
        raise ConfigError(
            f"A file cannot be written{where}: {error.strerror}. Checkpoints are intact: make room, then call it "
            "again; --ckpt_path last resumes a training."
        ) from error
    except SystemExit as error:
        if isinstance(error.__context__, KeyboardInterrupt):  # Lightning turns it into an exit with 1
            raise error.__context__ from None
        raise


def _raised_by_lightning(error: BaseException) -> bool:
    """Return whether a statement of Lightning's own has raised `error`: then it is about what the user has set."""
    frame, number = list(traceback.walk_tb(error.__traceback__))[-1]
    module = str(frame.f_globals.get("__name__", "")).partition(".")[0]
    line = linecache.getline(frame.f_code.co_filename, number)
    return module in _LIGHTNING and line.lstrip().startswith("raise ")


def missing_config(message: str) -> str:
    """Return what to do where a message of the parser's comes of a config that is missing, or not complete."""
    if any(words in message for words in _NO_CLASS):
        return "\nAn overlay comes after a complete config: --config multilabel --config OVERLAY."
    if _NO_SECTION.search(message):
        return "\nName a config: `lightning-tasks configs` lists some, `init` writes yours."
    return ""


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
