"""What suits the device that a run is on."""

import ctypes
import functools
import os
import re
from dataclasses import dataclass
from typing import Any

import torch

from lightning_tasks.cores import usable_cores
from lightning_tasks.errors import ConfigError

# What torch says of the machine's own memory, and what the GPU's libraries say where it is theirs that finds none.
_OUT_OF_MEMORY = ("DefaultCPUAllocator", "CUDA out of memory", "CUBLAS_STATUS_ALLOC_FAILED")
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h


@dataclass(frozen=True)
class Machine:
    """What a recipe asks of the machine that is to train."""

    cores: int = 1
    gpu: str | None = None  # its name; None: there is none that CUDA knows
    gpu_memory_gb: float = 0.0
    precision: str | None = None  # see `default_precision`

    def __str__(self) -> str:
        """Return it in words."""
        cores = f"{self.cores} CPU core{'s' * (self.cores != 1)}"
        return cores if self.gpu is None else f"{self.gpu}, {self.gpu_memory_gb:.0f} GB, and {cores}"


def this_machine() -> Machine:
    """Return what this process may train on: its first GPU, where there are several."""
    precision = default_precision("auto")
    if not torch.cuda.is_available():
        return Machine(usable_cores(), precision=precision)
    gpu = torch.cuda.get_device_properties(0)
    return Machine(usable_cores(), gpu.name, gpu.total_memory / 1e9, precision)


def default_precision(accelerator: object) -> str | None:
    """Return Lightning's name of the fastest precision that trains as well, None where Lightning's own default is.

    On a GPU bfloat16 from its Ampere generation on (no loss scale, for which each step would wait), half precision
    before; on a CPU bfloat16 where it computes in it (AVX512-bf16 or AMX), or float32.

    Args:
        accelerator: as given to the Trainer.
    """
    if accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "16-mixed"
    if accelerator == "cpu" or (accelerator == "auto" and not torch.backends.mps.is_available()):
        # torch 2.9 cannot say; its name for such a processor may come and go.
        able: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
        return "bf16-mixed" if able.get("avx512_bf16") or able.get("amx_bf16") else "32-true"
    return None


def keep_freed_memory() -> None:
    """Let the C library keep what large tensors leave behind, where it is glibc.

    By default it gives blocks of some 32 MB and more back to the kernel, which clears each page anew in every step:
    a resnet18 trains 7 to 15 % faster on two cores without that. The peak stays, but is kept until the process ends.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # another C library
        return
    mallopt(_M_MMAP_THRESHOLD, 1 << 30)
    mallopt(_M_TRIM_THRESHOLD, (1 << 31) - 1)


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether a device's or the machine's memory did not suffice."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _OUT_OF_MEMORY)


def mistake_with_devices(error: BaseException, data: object) -> ConfigError | None:
    """Return what to tell a user of an error in a training on `data`; None: it does not come from the devices."""
    if "Duplicate GPU detected" in str(error):  # NCCL's words
        return ConfigError(
            "Two of the training's processes were given one GPU, which NCCL refuses. Start no more than one for each "
            "GPU: see --trainer.devices and --trainer.num_nodes."
        )
    if not is_out_of_memory(error):
        return None
    size = "×".join(str(side) for side in getattr(data, "image_size", ()))
    batch = f"batches of {getattr(data, 'batch_size', 'this size')}{size and f' at {size} pixels'}"
    return ConfigError(
        f"The memory does not suffice for {batch}{memory_asked_for(error)}. Lower --data.batch_size (with "
        "--trainer.accumulate_grad_batches 2 a step learns from as many images as before) or --data.size, or choose a "
        "smaller --model.backbone."
    )


def memory_asked_for(error: BaseException) -> str:
    """Return how much such an error says it wanted, in parentheses with a blank before it, or nothing."""
    found = re.search(r"[Tt]ried to allocate ([\d.]+ \w+)", str(error))
    return f" (it asked for {found[1]} more)" if found else ""


@functools.cache  # once in a process
def compute_after_fork() -> None:
    """Let processes that are forked from this one compute, on one thread each.

    A fork takes none of the threads along that OpenMP has started here: the child's first parallel loop would wait for
    them for ever. torch's own loaders do as much for their workers.
    """
    if hasattr(os, "register_at_fork"):  # not on Windows
        os.register_at_fork(after_in_child=lambda: torch.set_num_threads(1))
