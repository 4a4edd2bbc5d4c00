"""Labels, points and numbers of images, on PyTorch Lightning."""

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # each folder says which of its names are public
    from lightning_tasks.callbacks import *  # noqa: F403
    from lightning_tasks.deploy import *  # noqa: F403
    from lightning_tasks.tasks import *  # noqa: F403

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the name stands for
    # Lazily, so that `lightning-tasks --help` does not wait for torch.
    if name == "__all__":
        return sorted({"__version__", *(public for folder in _FOLDERS for public in _folder(folder).__all__)})
    if not name.startswith("_"):
        for folder in _FOLDERS:
            if name in _folder(folder).__all__:
                return getattr(_folder(folder), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


_FOLDERS = ("tasks", "callbacks", "deploy")


def _folder(name: str) -> ModuleType:
    return import_module(f"{__name__}.{name}")
