"""Training on several processes, over gloo on this machine."""

import csv
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

from lightning_tasks import MultiLabelClassifier, MultiLabelDataModule
from lightning_tasks.__main__ import console
from lightning_tasks.data.loading.dataset import EpochSampler
from lightning_tasks.tasks.multilabel.predictions import predict_labels
from lightning_tasks.tasks.multilabel.threshold_curve import threshold_curve
from tests.fakes import write_multilabel, write_points
from tests.forks import forks_can_train
from tests.own_classes import PlainNet

ROOT = Path(__file__).parents[2]
N, TRAINED = 24, 15
# Nine images validate: five on one process and four on the other, two batches and one.
LABELS = ["fname,labels,is_valid", *(f"{i}.jpg,{'cat' if i % 3 else 'dog'},{i >= TRAINED}" for i in range(N))]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_multilabel(Path("labels"), LABELS, N)
    Path("record").mkdir()
    return tmp_path


CLASSIFIER = ["--model", "MultiLabelClassifier", "--model.backbone", "test_resnet"]
QUIET = ["--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false", "--data.num_workers", "0"]


def arguments(callbacks, *more, batch=4, model=CLASSIFIER):
    trainer = {"callbacks": callbacks, "log_every_n_steps": 1}
    Path("callbacks.yaml").write_text(yaml.safe_dump({"trainer": trainer}))
    data = ["--data", "MultiLabelDataModule", "--data.root", "labels", "--data.size", "32"]
    batches = ["--data.batch_size", str(batch), "--run_name", "run"]
    return ["fit", "--config", "callbacks.yaml", *model, *data, *batches, *QUIET, *more]


def plan(epochs=2, **more):
    return {"class_path": "FineTune", "init_args": {"epochs": epochs, "freeze_epochs": 2, **more}}


CURVE = {"class_path": "tests.callbacks.CurveRecorder", "init_args": {"folder": "record"}}
RECORDER = {"class_path": "tests.callbacks.Recorder", "init_args": {"folder": "record"}}
ROWS = {"class_path": "tests.callbacks.RowRecorder", "init_args": {"folder": "record"}}
TWO = ["--trainer.devices", "2", "--trainer.strategy", "ddp"]
# Forked from this process, which has torch: what two processes do, without how they are started.
FORKS = [*TWO[:3], "ddp_fork"]
HOW = ["forks", pytest.param("processes", marks=pytest.mark.processes)]


def start(args, *launcher):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, *launcher, "-m", "lightning_tasks", *args],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip


def finish(*processes):
    for process in processes:
        _, error = process.communicate(timeout=300)
        assert process.returncode == 0, error


def train_on_two(how, callbacks, *more, **model):
    if how == "forks" and forks_can_train():
        assert console(arguments(callbacks, *FORKS, *more, **model)) == 0
    else:
        finish(start(arguments(callbacks, *TWO, *more, **model)))


def recorded():
    return [[line.split("|") for line in Path(f"record/rank{r}").read_text().splitlines()] for r in (0, 1)]


def rows(version=0):
    with Path(f"runs/run/version_{version}/metrics.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("how", HOW)
def test_two_processes_train_the_same_weights_and_score_every_image_once(how, capsys):
    train_on_two(how, [plan(base_lr=0.01), RECORDER, CURVE])
    first, second = recorded()
    assert [line[:3] for line in first] == [line[:3] for line in second]
    bodies = [line[2] for line in first]
    assert len(first) == 4  # seven images each, in batches of four, without the last
    assert len(set(bodies[:2])) == 1  # frozen
    assert len(set(bodies[1:])) == 3  # and then it moves, with each step
    last = [row for row in rows() if row["val/loss"]][-1]
    assert console(["validate", "--ckpt_path", "runs/run/version_0/checkpoints/last.ckpt", *QUIET]) == 0
    printed = capsys.readouterr().out
    for name in ("val/loss", "val/mAP", "val/accuracy"):
        alone = float(re.search(rf"{name} +([0-9.e-]+)", printed)[1])
        assert float(last[name]) == pytest.approx(alone, rel=1e-5), name
    model = MultiLabelClassifier.load_from_checkpoint("runs/run/version_0/checkpoints/last.ckpt", weights_only=True)
    found = predict_labels(model, MultiLabelDataModule("labels", size=32, num_workers=0))
    curve = [accuracy for _, accuracy in threshold_curve(found.probabilities, found.targets)]
    for rank in (0, 1):
        assert [float(word) for word in Path(f"record/curve{rank}").read_text().split()] == pytest.approx(curve)
    assert len(list(Path("runs/run/version_0").glob("events.out.tfevents.*"))) == 1  # the first process draws


@pytest.mark.filterwarnings("error:It is recommended to use")  # a fork takes it along
def test_two_processes_score_points_as_one_does_and_lightning_has_nothing_to_recommend(capfd):
    write_points(
        Path("points"), ["fname,is_valid,x_x,x_y", *(f"{i}.jpg,{i >= TRAINED},{5 + i},6" for i in range(N))], N
    )
    model = ["--model", "KeypointRegressor", *CLASSIFIER[2:], "--model.pretrained", "false", "--model.lr", "0.001"]
    data = ["--data", "KeypointDataModule", "--data.root", "points", "--data.size", "32", "--data.batch_size", "4"]
    strategy = FORKS if forks_can_train() else TWO
    assert console(["fit", *model, *data, *QUIET, *strategy, "--run_name", "run", "--trainer.max_epochs", "1"]) == 0
    assert "recommended to use" not in capfd.readouterr().err
    (last,) = (row for row in rows() if row["val/median_px"])
    assert console(["validate", "--ckpt_path", "runs/run/version_0/checkpoints/last.ckpt", *QUIET]) == 0
    alone = float(re.search(r"val/median_px +([0-9.e-]+)", capfd.readouterr().out)[1])
    assert float(last["val/median_px"]) == pytest.approx(alone, rel=1e-5)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.processes
def test_torchrun_on_two_nodes_gives_what_two_processes_of_one_give():
    finish(start(arguments([plan(base_lr=0.01)], *TWO)))
    address = ["--nnodes", "2", "--nproc_per_node", "1", "--master_addr", "127.0.0.1"]
    port, nodes = free_port(), []
    for rank in ("0", "1"):
        torchrun = ["-m", "torch.distributed.run", *address, "--master_port", str(port), "--node_rank", rank]
        args = arguments([plan(base_lr=0.01)], "--trainer.num_nodes", "2", "--trainer.strategy", "ddp")
        nodes.append(start(args, *torchrun))
    finish(*nodes)
    assert sorted(path.name for path in Path("runs/run").iterdir()) == ["version_0", "version_1"]
    assert rows(0) == rows(1)


@pytest.mark.parametrize("how", HOW)
def test_two_processes_share_the_draw_of_rare_labels_that_one_makes(how):
    rare = [LABELS[0], LABELS[1].replace("dog", "dog rare"), *LABELS[2:]]  # one of fifteen
    write_multilabel(Path("labels"), rare, N)
    balanced = ["--data.oversample_threshold", "1", "--model.pos_weight", "balanced"]
    train_on_two(how, [plan(base_lr=0.01), ROWS, RECORDER], *balanced)
    first, second = recorded()
    assert [line[1] for line in first] == [line[1] for line in second]  # with the same weights of labels
    parts = [[line.split() for line in Path(f"record/rows{rank}").read_text().splitlines()] for rank in (0, 1)]
    alone = EpochSampler(TRAINED, True, 42, repeat_factors=MultiLabelDataModule(
        "labels", oversample_threshold=1.0).repeat_factors())  # fmt: skip
    for epoch, batches in enumerate(zip(*parts, strict=True)):
        alone.set_epoch(epoch)
        order = [str(key.row) for key in alone]
        assert list(batches) == [order[rank:8:2] for rank in (0, 1)]  # of seven each, a batch of four


@pytest.mark.parametrize("how", HOW)
def test_without_dropout_and_batch_statistics_it_agrees_with_one_process(how):
    """The same global batches: eight images in one process, four in each of two."""
    net = ["--model", "tests.own_classes.PlainNet"]
    clip = ["--trainer.gradient_clip_val", "1", "--trainer.precision", "32-true"]
    train_on_two(how, [plan(epochs=3, lr_mult=1.0, base_lr=0.1), RECORDER], *clip, model=net)
    first, second = recorded()
    assert [line[1] for line in first] == [line[1] for line in second]
    assert console(arguments([plan(epochs=3, lr_mult=1.0, base_lr=0.1)], *clip, model=net, batch=8)) == 0
    two, one = (
        torch.load(f"runs/run/version_{v}/checkpoints/last.ckpt", weights_only=True)["state_dict"] for v in (0, 1)
    )
    for name, before in PlainNet(["cat", "dog"]).state_dict().items():
        assert (one[name] - before).abs().max() > 1e-3, name
        torch.testing.assert_close(two[name], one[name], rtol=0, atol=1e-5, msg=name)


FINDER = {"class_path": "LRFinder", "init_args": {"steps": 40}}
FOUND = ["--model.lr", "auto", "--last.every_n_steps", "1"]


def find_the_same_rate(how):
    train_on_two(how, [FINDER, plan(), RECORDER], *FOUND, batch=2)
    first, second = recorded()
    assert first == second
    assert 1e-7 < float(first[0][3]) < 1
    assert Path("runs/run/version_0/lr_find.csv").is_file()


def test_two_processes_find_the_same_rate():
    find_the_same_rate("forks")


@pytest.mark.processes
def test_all_processes_find_the_same_rate_and_go_on_after_a_stop():
    find_the_same_rate("processes")
    stopper = {"class_path": "tests.callbacks.Stopper", "init_args": {"step": 7}}  # within an epoch, of three steps
    assert start(arguments([FINDER, plan(), stopper], *FOUND, *TWO, batch=2)).wait(300) != 0
    train_on_two("processes", [FINDER, plan()], *FOUND, "--ckpt_path", "last", batch=2)
    assert rows(0) == rows(1)


@pytest.mark.parametrize(
    ("strategy", "message"),
    [("ddp_find_unused_parameters_false", "needs find_unused_parameters"), ("fsdp", "shards")],
)
def test_strategies_that_cannot_freeze_are_told(strategy, message):
    from pytorch_lightning.strategies import DDPStrategy, FSDPStrategy

    from lightning_tasks import FineTune, KeypointRegressor
    from lightning_tasks.errors import ConfigError

    class Fit:
        pass

    Fit.strategy = FSDPStrategy() if strategy == "fsdp" else DDPStrategy(find_unused_parameters=False)
    model = KeypointRegressor(["a"], "test_resnet", image_size=(32, 32))
    with pytest.raises(ConfigError, match=message):
        FineTune(epochs=1).setup(Fit, model, "fit")


def test_fewer_images_than_processes_are_told():
    from lightning_tasks.data.loading.dataloader import make_loader
    from lightning_tasks.errors import ConfigError

    with pytest.raises(ConfigError, match="1 images in the validation or test split for 2 processes"):
        make_loader([], list, n=1, training=False, batch_size=4, num_workers=0, seed=0, rank=0, world_size=2)
