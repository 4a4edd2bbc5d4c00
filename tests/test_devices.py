import platform
import subprocess
import sys

import pytest
import torch

from lightning_tasks import MultiLabelClassifier
from lightning_tasks.devices import default_precision
from lightning_tasks.tasks.optimizer import can_fuse


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

    for precision, clip, fused in (("16-mixed", 1.0, False), ("16-mixed", None, True), ("bf16-mixed", 1.0, True)):
        Run.precision, Run.gradient_clip_val = precision, clip
        model._trainer = Run()
        assert can_fuse(model) is fused
        assert model.configure_optimizers().defaults["fused"] is fused


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have no such setting")
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
