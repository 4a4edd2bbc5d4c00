"""Labels, points and numbers of images, on PyTorch Lightning."""

from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lightning_tasks.callbacks import *  # noqa: F403 - its __all__ says which
    from lightning_tasks.deploy import *  # noqa: F403 - likewise
    from lightning_tasks.tasks import *  # noqa: F403 - likewise

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the name stands for
    # Lazily, so that `lightning-tasks --help` does not wait for torch.
    if name == "__all__":
        return sorted({"__version__", *(public for folder in _FOLDERS for public in _folder(folder).__all__)})
    # A module of ours is looked for here too, before it is imported: `from lightning_tasks import yaml_text`.
    if not name.startswith("_") and find_spec(f"{__name__}.{name}") is None:
        for folder in _FOLDERS:
            if name in _folder(folder).__all__:
                return getattr(_folder(folder), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


_FOLDERS = ("tasks", "callbacks", "deploy")


def _folder(name: str) -> ModuleType:
    return import_module(f"{__name__}.{name}")
