"""What other libraries raise about a user's mistake, as one of ours: one message, without a traceback."""

import contextlib
import errno
import linecache
from collections.abc import Iterator

from lightning_fabric.utilities.exceptions import MisconfigurationException

from lightning_tasks.errors import ConfigError, MissingLibraryError, missing_package, users_mistake

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
_LIGHTNING = ("pytorch_lightning", "lightning_fabric")


@contextlib.contextmanager
def translate_foreign_errors() -> Iterator[None]:
    """Turn errors of Lightning's, of packages that are missing and of full disks into ours; let others pass.

    Raises:
        ConfigError: Lightning refused a setting, or a file cannot be written.
        MissingLibraryError: a package is missing.
    """
    try:
        yield
    except MisconfigurationException as error:  # Lightning's own word for a user's mistake
        raise ConfigError(" ".join(str(error).split())) from error
    except (ImportError, RuntimeError, TypeError, ValueError) as error:
        if users_mistake(error) is not None:  # jsonargparse wraps what a class raises into ValueErrors
            raise
        if (missing := missing_package(error)) is not None:
            raise MissingLibraryError(missing) from error
        if _refused_by_lightning(error):
            raise ConfigError(" ".join(str(error).split())) from error
        raise
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


def _refused_by_lightning(error: BaseException) -> bool:
    """Return whether a statement of Lightning's own has raised `error`: then it is about what the user has set."""
    trace = error.__traceback__
    if trace is None:
        return False
    while trace.tb_next is not None:
        trace = trace.tb_next
    module = str(trace.tb_frame.f_globals.get("__name__", "")).partition(".")[0]
    line = linecache.getline(trace.tb_frame.f_code.co_filename, trace.tb_lineno)
    return module in _LIGHTNING and line.lstrip().startswith("raise ")
