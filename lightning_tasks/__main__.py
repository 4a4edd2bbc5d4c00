"""The console script and `python -m lightning_tasks`."""

import contextlib
import gc
import io
import logging
import os
import select
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from importlib import import_module
from typing import Any

from lightning_tasks import __version__
from lightning_tasks.errors import LightningTasksError, LightningTasksWarning, user_message, users_mistake
from lightning_tasks.verbs.table import Kind, help_lines, verbs_of

_PIPE_EXIT = 141  # a shell's for what SIGPIPE ends
_HELP = f"""lightning-tasks {__version__}: labels, points and numbers of images, on PyTorch Lightning

A run is described by a config; anything in it can be overridden on the command line:
{help_lines()}

  lightning-tasks VERB --help        every argument of a verb
  lightning-tasks --version
"""


def console(args: list[str] | None = None) -> int:
    """Run one command and return its exit code.

    0; 1 where some of it could not be done; 2 after a user's mistake; 130 after Ctrl-C, 143 after SIGTERM; 141 where
    nobody reads any more what it says.
    """
    try:
        try:
            return _run(sys.argv[1:] if args is None else args)
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        if _nobody_reads():
            return _PIPE_EXIT
        raise


def _run(args: list[str]) -> int:
    if not args or args[0] in ("-h", "--help"):  # answered before torch is imported
        print(_HELP, end="")
        return 0
    if args[0] == "--version":
        print(__version__)
        return 0
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a file's name may be no text
    try:
        with _sigterm_leaves_in_order(), _warnings_in_one_line():
            if args[0] in verbs_of(Kind.FUNCTION):
                with _imports_set_aside(f"lightning_tasks.verbs.{args[0]}"):
                    from lightning_tasks.command_line.functions import run

                    return run(args)
            if args[0] in verbs_of(Kind.FOLDS):
                with _imports_set_aside("lightning_tasks.crossval"):
                    from lightning_tasks.crossval import crossval

                    crossval(args)
                    return 0
            with _imports_set_aside("lightning_tasks.cli"):
                from lightning_tasks.cli import main

                main(args)
    except KeyboardInterrupt:
        print("stopped by Ctrl-C", file=sys.stderr)
        return 128 + signal.SIGINT
    except (LightningTasksError, ValueError) as error:  # jsonargparse wraps what a class raises into ValueErrors
        if (mistake := users_mistake(error)) is None:
            raise
        print(f"error: {user_message(mistake)}", file=sys.stderr)
        return 2
    return 0


def _nobody_reads() -> bool:
    """Return whether what reads our output has gone, as `| head` does; then let the rest of it go nowhere."""
    gone = False
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
            poll = select.poll()
            poll.register(stream.fileno(), 0)
            closed = any(event & select.POLLERR for _, event in poll.poll(0))
        except BrokenPipeError:
            closed = True
        except (AttributeError, OSError, ValueError):  # no file, or no such question on this system
            closed = False
        if closed:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # or the interpreter would fail at its end
        gone |= closed
    return gone


@contextlib.contextmanager
def _sigterm_leaves_in_order() -> Iterator[None]:
    """Let SIGTERM raise SystemExit, so that what is half-written is removed."""
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield  # part of another program, which decides
        return
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


@contextlib.contextmanager
def _warnings_in_one_line() -> Iterator[None]:
    """Print our own warnings as we print errors, and none of Pillow's about files: what is wrong with them, we say."""
    with warnings.catch_warnings():  # it puts back what is changed here
        warnings.filterwarnings("ignore", module=r"PIL\.")
        logging.getLogger("PIL").setLevel(logging.CRITICAL)
        others = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:  # noqa: ANN401
            if issubclass(category, LightningTasksWarning):
                print(f"warning: {message}", file=sys.stderr)
            else:
                others(message, category, *where, **more)

        warnings.showwarning = show
        yield


@contextlib.contextmanager
def _imports_set_aside(module: str) -> Iterator[None]:
    """Import a verb's module while the garbage collector rests, and keep what came out of its sight to the end.

    The imports leave close to a million objects and next to no garbage; looking through them again and again would
    take a fifth of the time to the first step. Out of sight they also stay shared with the loaders' processes.
    """
    if "torch" in sys.modules or not gc.isenabled():  # part of another program, which may have garbage of its own
        yield
        return
    gc.disable()
    try:
        import_module(module)  # it brings all that is heavy
        gc.freeze()
        gc.enable()
        yield
    finally:
        gc.enable()  # where an import failed
        gc.unfreeze()  # or triton, which could not be torn down, would speak of leaks at exit


if __name__ == "__main__":
    sys.exit(console())
