"""The same seed on the same machine gives the same numbers to the last bit, however the images are loaded."""

import csv
import os
import subprocess
import sys
from itertools import product
from pathlib import Path

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from lightning_tasks import KeypointRegressor, MultiLabelClassifier
from lightning_tasks.__main__ import console
from lightning_tasks.batch import TargetBatch
from lightning_tasks.devices import default_precision
from lightning_tasks.tasks.keypoints.dataset import KeypointBatch
from tests.fakes import FLAGS, LABELS, POINTS, write_multilabel, write_points

ROOT = Path(__file__).parents[1]
CONFIGS = {"labels": "multilabel.yaml", "points": "keypoints.yaml"}
# Two epochs of two steps: the workers live on into the second.
SMALL = [
    *("--data.size", "32", "--data.batch_size", "3", "--model.pretrained", "false", "--trainer.max_epochs", "2"),
    *("--trainer.log_every_n_steps", "1", "--trainer.enable_model_summary", "false", "--run_name", "run"),
]
# torch's list of what has no deterministic CUDA kernel, as far as networks for images and metrics may use it.
NOT_DETERMINISTIC = {
    *("adaptive_max_pool2d_backward", "_adaptive_avg_pool2d_backward", "max_pool3d_with_indices_backward"),
    *("fractional_max_pool2d_backward", "avg_pool3d_backward", "max_unpool2d", "reflection_pad2d_backward"),
    *("replication_pad2d_backward", "upsample_bicubic2d_backward", "grid_sampler_2d_backward", "put_", "histc"),
    *("kthvalue", "nll_loss2d_forward", "_ctc_loss_backward", "_embedding_bag_dense_backward"),
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    write_multilabel(folder / "labels", LABELS)
    write_points(folder / "points", POINTS)
    return folder


def arguments(data, task, *more):
    return [
        "fit",
        "--config",
        str(ROOT / "conf" / CONFIGS[task]),
        "--data.root",
        str(data / task),
        *FLAGS,
        *SMALL,
        *more,
    ]


def result(folder):
    """Return metrics.csv as it is, and the weights."""
    run = folder / "runs" / "run" / "version_0"
    return (run / "metrics.csv").read_bytes(), torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)


def assert_same(one, other):
    assert one[0].decode() == other[0].decode()
    assert one[1]["state_dict"].keys() == other[1]["state_dict"].keys()
    assert all(torch.equal(value, other[1]["state_dict"][key]) for key, value in one[1]["state_dict"].items())


def run(folder, data, task, *more):
    with pytest.MonkeyPatch.context() as patch:
        folder.mkdir(exist_ok=True)
        patch.chdir(folder)
        assert console(arguments(data, task, "--data.cache_dir", str(folder / "cache"), *more)) == 0
    return result(folder)


@pytest.fixture(scope="module")
def plain(data, tmp_path_factory):
    """Runs without cache and workers."""
    return {task: run(tmp_path_factory.mktemp(task), data, task, "--data.cache", "none") for task in CONFIGS}


# Each cache and each number of workers with each task; the other pairs are slow together.
QUICK = {
    *(("labels", "none", "1"), ("labels", "disk", "2"), ("labels", "ram", "0")),
    *(("points", "auto", "0"), ("points", "disk", "1"), ("points", "ram", "2")),
}
WAYS = product(CONFIGS, ("none", "disk", "ram", "auto"), ("0", "1", "2"))


@pytest.mark.parametrize(
    ("task", "cache", "workers"),
    [pytest.param(*way, marks=() if way in QUICK else pytest.mark.slow) for way in WAYS],
)
def test_cache_and_workers_change_nothing(plain, data, tmp_path, task, cache, workers):
    assert_same(plain[task], run(tmp_path, data, task, "--data.cache", cache, "--data.num_workers", workers))


MIXED = ["--trainer.precision", "bf16-mixed", "--data.mixup_alpha", "0.4", "--data.cutmix_alpha", "1.0"]
# What is not this processor's default: those that compute in bfloat16 take that.
OTHER = ["--trainer.precision", "32-true" if default_precision("cpu") == "bf16-mixed" else "bf16-mixed"]
ON_DEVICE = ["--trainer.precision", "32-true", "--data.device_cache", "true"]


@pytest.mark.parametrize(
    ("task", "options"),
    [
        ("labels", MIXED),
        pytest.param("labels", ON_DEVICE, marks=pytest.mark.slow),
        pytest.param("points", OTHER, marks=pytest.mark.slow),
        ("points", ON_DEVICE),
    ],
)
def test_options_that_draw_or_round_change_nothing_between_runs(plain, data, tmp_path, task, options):
    first = run(tmp_path / "0", data, task, *options)
    assert_same(first, run(tmp_path / "2", data, task, *options, "--data.num_workers", "2"))
    assert first[0] != plain[task][0]  # they were at work


@pytest.fixture
def default_algorithms():
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.usefixtures("default_algorithms")
@pytest.mark.parametrize("task", CONFIGS)
def test_deterministic_true_works(plain, data, tmp_path, task):
    found = run(tmp_path, data, task, "--trainer.deterministic", "true")
    assert torch.are_deterministic_algorithms_enabled()
    assert_same(plain[task], found)


@pytest.mark.processes
def test_other_processes_find_the_same(plain, data, tmp_path):
    """With other hash seeds, and two workers each."""
    processes = {}
    for seed, task in enumerate(CONFIGS):
        (tmp_path / task).mkdir()
        processes[task] = subprocess.Popen(
            [sys.executable, "-m", "lightning_tasks", *arguments(data, task, "--data.num_workers", "2")],
            cwd=tmp_path / task, env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": str(seed + 1)},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
    for task, process in processes.items():
        said, _ = process.communicate()
        assert process.returncode == 0, said
        assert_same(plain[task], result(tmp_path / task))


def test_no_time_stands_among_the_metrics(plain):
    for table, _ in plain.values():
        columns = next(csv.reader(table.decode().splitlines()))
        assert {"epoch", "step", "train/loss_step", "val/loss"} <= set(columns)
        assert not [name for name in columns if "time" in name or "second" in name or name.endswith("_s")]


class Operations(TorchDispatchMode):
    """The names of all that torch computes."""

    def __init__(self):
        super().__init__()
        self.names = set()

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        self.names.add(operation._schema.name.removeprefix("aten::"))
        return operation(*args, **(kwargs or {}))


def batch_of(task, size):
    images, rows = torch.zeros(4, 3, *size, dtype=torch.uint8), torch.arange(4)
    if task == "labels":
        return TargetBatch(images, torch.eye(2).repeat(2, 1), rows)
    visible = torch.ones(4, 2, dtype=torch.bool)
    return KeypointBatch(images, torch.zeros(4, 2, 2), visible, torch.full((4, 2), 32.0), rows)


@pytest.mark.parametrize("backbone", ["test_resnet", "resnet18", "test_efficientnet", "test_convnext", "test_vit"])
@pytest.mark.parametrize("task", CONFIGS)
def test_a_training_uses_nothing_that_a_gpu_cannot_do_deterministically(task, backbone):
    """There, `--trainer.deterministic true` raises an error at such an operation."""
    labels = task == "labels"
    kind, names = (MultiLabelClassifier, ["cat", "dog"]) if labels else (KeypointRegressor, ["l", "r"])
    size = (160, 160) if backbone == "test_vit" else (32, 32)
    model, batch = kind(names, backbone, image_size=size), batch_of(task, size)
    optimizer = model.configure_optimizers()
    with Operations() as seen:
        loss, _ = model._shared_step(batch)
        loss.backward()
        optimizer.step()
        model.eval()
        (_, outputs), scores = model._shared_step(batch), model.metrics["val"]
        more = (batch.targets.int(),) if labels else (batch.points_norm, batch.visible, batch.original_size_px)
        scores.update(outputs, *more)
        scores.compute()
    assert {"convolution_backward", "amax"} <= seen.names or backbone in ("test_convnext", "test_vit")
    assert not seen.names & NOT_DETERMINISTIC


def test_the_pooling_that_a_gpu_cannot_do_would_be_noticed():
    with Operations() as seen:
        torch.nn.AdaptiveMaxPool2d(1)(torch.rand(1, 1, 4, 4, requires_grad=True)).sum().backward()
    assert seen.names & NOT_DETERMINISTIC == {"adaptive_max_pool2d_backward"}
