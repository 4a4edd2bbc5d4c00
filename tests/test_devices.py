import platform
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from lightning_tasks import MultiLabelClassifier
from lightning_tasks.__main__ import console
from lightning_tasks.devices import default_precision, is_out_of_memory, keep_freed_memory
from lightning_tasks.models.optimizer import can_fuse
from tests.fakes import FLAGS, LABELS, write_multilabel


@pytest.mark.parametrize(
    ("capabilities", "precision"),
    [({"avx512_bf16": True}, "bf16-mixed"), ({"amx_bf16": True}, "bf16-mixed"), ({}, "32-true")],
)
def test_a_cpu_uses_bfloat16_where_it_computes_in_it(monkeypatch, capabilities, precision):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert default_precision("auto") == default_precision("cpu") == precision
    assert default_precision("tpu") is None


@pytest.mark.parametrize(("ampere", "precision"), [(True, "bf16-mixed"), (False, "16-mixed")])
def test_a_gpu_uses_what_its_generation_has(monkeypatch, ampere, precision):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: ampere)
    assert default_precision("auto") == default_precision("gpu") == precision


def test_the_optimiser_is_fused_but_where_lightning_refuses_it():
    model = MultiLabelClassifier(["a"], "test_resnet", image_size=(32, 32))
    assert model.configure_optimizers().defaults["fused"] is True

    class Run:
        precision = "16-mixed"
        gradient_clip_val = 1.0

    for precision, clip, fused in (("16-mixed", 1.0, False), ("16-mixed", None, True), ("bf16-mixed", 1.0, False)):
        Run.precision, Run.gradient_clip_val = precision, clip
        model._trainer = Run()
        assert can_fuse(model) is fused
        assert model.configure_optimizers().defaults["fused"] is fused


ON_GLIBC = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have no such setting")


@ON_GLIBC
def test_freed_memory_is_kept():
    """In this process, where an earlier training may have asked for it too."""
    resource = pytest.importorskip("resource")
    keep_freed_memory()
    torch.ones(1 << 24)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        torch.ones(1 << 24)
    pages = (4 << 24) // resource.getpagesize()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before < 5 * pages  # 10 without it


@pytest.mark.processes
@ON_GLIBC
def test_freed_memory_is_not_cleared_again():
    code = (
        "import resource, torch; from lightning_tasks.devices import keep_freed_memory\n"
        "def faults():\n"
        "    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "    torch.ones(1 << 25)\n"
        "    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before\n"
        "print(sum(faults() for _ in range(30))); keep_freed_memory(); print(sum(faults() for _ in range(30)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    before, after = map(int, done.stdout.split())
    assert after < before / 2  # small blocks settle in the gaps at first


def test_what_says_that_memory_is_out_is_known():
    with pytest.raises(RuntimeError) as found:
        torch.empty(1 << 60, dtype=torch.uint8)  # the machine's own words
    assert is_out_of_memory(found.value)
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 12.00 GiB."))
    assert is_out_of_memory(MemoryError())
    assert not is_out_of_memory(RuntimeError("CUDA error: device-side assert triggered"))


_NO_MEMORY = ("The memory does not suffice for batches of 4 at 32×40 pixels", "--data.batch_size")


@pytest.mark.parametrize(
    ("error", "begins", "way_out"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."), *_NO_MEMORY),
        (MemoryError(), *_NO_MEMORY),
        (RuntimeError("NCCL error\nDuplicate GPU detected : rank 0 and rank 1"), "Two of", "--trainer.devices"),
    ],
)
def test_a_training_that_the_gpu_ends_says_what_to_do(tmp_path, monkeypatch, capsys, error, begins, way_out):
    def refuse(self, batch):
        raise error

    monkeypatch.setattr(MultiLabelClassifier, "training_step", refuse)
    monkeypatch.chdir(tmp_path)
    write_multilabel(tmp_path / "root", LABELS)
    config = str(Path(__file__).parents[1] / "conf" / "multilabel.yaml")
    data = ["--data.root", "root", "--data.size", "[32,40]", "--data.batch_size", "4"]
    model = ["--model.backbone", "test_resnet", "--model.pretrained", "false"]
    assert console(["fit", "--config", config, *data, *model, *FLAGS]) == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.startswith(f"error: {begins}")
    assert way_out in said


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory."), RuntimeError("DefaultCPUAllocator: can't allocate memory")]
)
def test_memory_is_not_taken_for_a_size_that_does_not_fit(monkeypatch, error):
    model = MultiLabelClassifier(["a"], "test_resnet", image_size=(32, 32))
    model.backbone.body.forward = lambda images: (_ for _ in ()).throw(error)
    with pytest.raises(MemoryError):
        model.backbone.require_size((64, 64), "data.start_size")
    assert model.training


def test_a_prediction_without_memory_says_what_to_lower(tmp_path, monkeypatch, capsys):
    def refuse(*_, **__):
        raise torch.OutOfMemoryError(
            "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of ..."
        )

    monkeypatch.setattr("lightning_tasks.verbs.predict.load", refuse)
    monkeypatch.chdir(tmp_path)
    Path("a.jpg").touch()
    assert console(["predict", "best.ckpt", "a.jpg"]) == 2
    assert "--batch_size" in capsys.readouterr().err
