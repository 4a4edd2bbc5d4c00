"""Real runs of the command line, in this process, on tiny data."""

import contextlib
import csv
import inspect
import re
import shutil
from functools import cache
from pathlib import Path
from typing import get_args

import pytest
import torch
import yaml
from lightning_fabric.plugins.precision.precision import _PRECISION_INPUT_STR

from lightning_tasks.__main__ import console
from lightning_tasks.cli import TaskCLI
from lightning_tasks.models.backbone import Backbone
from lightning_tasks.tasks.values.sample import draw_values
from tests.fakes import FLAGS, LABELS, POINTS, draw_biwi, draw_pascal, write_multilabel, write_points, write_pose

CONF = Path(__file__).parents[2] / "conf"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def draw(config):
    """Write the tiny data set that a config describes and return its root."""
    data = yaml.safe_load((CONF / config).read_text())["data"]["class_path"]
    root = Path("root")
    if data.startswith("Pascal"):
        draw_pascal(root, n=12)
    elif data.startswith("Biwi"):
        draw_biwi(root, frames=2)
    elif data.startswith("Value"):
        draw_values(root, n=12)
    else:
        (write_multilabel if data.startswith("Multi") else write_points)(
            root, LABELS if data.startswith("Multi") else POINTS
        )
    return ["--data.root", str(root)]


SMALL = {"pascal_448.yaml": "test_resnet", "pascal_large.yaml": "test_resnet"}  # in place of what wants a GPU


def fit(config, *more):
    small = ["--model.backbone", SMALL[config]] if config in SMALL else []
    size = [
        *small,
        "--data.size",
        "[32,40]",
        "--data.batch_size",
        "4",
        "--model.pretrained",
        "false",
        "--trainer.max_epochs",
        "2",
    ]
    return console(["fit", "--config", str(CONF / config), *FLAGS, *size, *more])


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Copies a run of two epochs by a config, which is trained once, with its data into this test's folder."""

    @cache
    def folder_of(config):
        folder = tmp_path_factory.mktemp("trained")
        with contextlib.chdir(folder):
            assert fit(config, *draw(config)) == 0
        return folder

    return lambda config: shutil.copytree(folder_of(config), Path(), dirs_exist_ok=True)


COMPLETE = sorted(path.name for path in CONF.glob("*.yaml") if "data:\n  class_path" in path.read_text())
OVERLAYS = sorted(path.name for path in CONF.glob("*.yaml") if path.name not in COMPLETE)


@pytest.mark.parametrize("config", COMPLETE)
def test_every_config_runs(config):
    start = ["--data.start_size", "null"] if config in SMALL else []
    assert fit(config, *draw(config), *start, "--trainer.fast_dev_run", "1") == 0
    assert not Path("runs").exists()  # a trial leaves nothing


@pytest.mark.parametrize("config", COMPLETE)
def test_every_configs_backbone_is_known_to_timm_and_takes_its_size(config):
    settings = yaml.safe_load((CONF / config).read_text())
    backbone, size = settings["model"]["init_args"]["backbone"], settings["data"]["init_args"]["size"]
    height, width = (size, size) if isinstance(size, int) else size
    with torch.device("meta"):  # of shapes alone: no memory, no time
        body = Backbone(backbone, (height, width)).eval()
        assert body(torch.zeros(1, 3, height, width)).shape == (1, body.num_features)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_overlay_combines(overlay):
    points = overlay in ("face68.yaml", "faces.yaml", "heads.yaml", "heatmap.yaml")
    if points:
        names = [f"p{i:02d}_{axis}" for i in range(68) for axis in "xy"]
        rows = [f"{i}.jpg,{i >= 6},{','.join(str(1 + (i * 7 + c) % 20) for c in range(136))}" for i in range(8)]
        write_points(Path("root"), [f"fname,is_valid,{','.join(names)}", *rows])
        root = ["--data.root", "root"]
    elif overlay.startswith("pascal_"):
        root = draw("pascal.yaml")
    else:
        root = draw("multilabel.yaml")
    config = "keypoints.yaml" if points else "pascal.yaml" if overlay.startswith("pascal_") else "multilabel.yaml"
    more = ["--config", str(CONF / overlay), "--trainer.accelerator", "cpu", "--trainer.fast_dev_run", "1"]
    if overlay in ("gpu.yaml", "sync_batchnorm.yaml", "fsdp.yaml"):  # what needs GPUs, and nothing else, is replaced
        more += ["--trainer.precision", "bf16-mixed", "--trainer.devices", "1", "--trainer.strategy", "auto"]
        more += ["--trainer.sync_batchnorm", "false"]
    if overlay in ("faces.yaml", "heads.yaml"):  # flip_tta needs pairs
        more = ["--config", str(CONF / "face68.yaml"), *more]
    assert fit(config, *more, *root) == 0


@pytest.mark.parametrize("overlay", ["gpu.yaml", "sync_batchnorm.yaml", "fsdp.yaml"])
def test_what_the_overlays_for_gpus_say_is_known_to_lightning(overlay):
    from pytorch_lightning import Trainer
    from pytorch_lightning.strategies import StrategyRegistry

    settings = yaml.safe_load((CONF / overlay).read_text())["trainer"]
    assert set(settings) <= set(inspect.signature(Trainer).parameters)
    assert settings.get("strategy", "ddp") in StrategyRegistry.available_strategies()
    assert settings.get("precision", "bf16-mixed") in get_args(_PRECISION_INPUT_STR)  # gpu.yaml leaves it to the GPU


def test_a_plan_decides_the_epochs_unless_they_are_given():
    root = draw("multilabel.yaml")
    plan = ["--config", str(CONF / "multilabel.yaml"), "--config", str(CONF / "fine_tune.yaml"), *FLAGS, *root]
    size = ["--data.size", "32", "--data.batch_size", "4", "--model.pretrained", "false"]
    assert console(["fit", *plan, *size]) == 0
    last = torch.load("runs/multi_label/version_0/checkpoints/last.ckpt", weights_only=True)
    assert last["epoch"] == 7  # epochs are done
    assert console(["fit", *plan, *size, "--trainer.max_epochs", "2"]) == 0
    last = torch.load("runs/multi_label/version_1/checkpoints/last.ckpt", weights_only=True)
    assert last["epoch"] == 2


def test_all_configs_are_tested():
    assert {
        "pascal.yaml",
        "biwi.yaml",
        "pascal_sample.yaml",
        "biwi_sample.yaml",
        "multilabel.yaml",
        "keypoints.yaml",
    } <= set(COMPLETE)
    assert {"gpu.yaml", "bf16.yaml"} <= set(OVERLAYS)


@pytest.mark.parametrize("config", COMPLETE)
def test_every_config_says_its_command(config):
    assert re.search(rf"lightning-tasks fit --config {Path(config).stem}[ \n]", (CONF / config).read_text())


def rows_of(path):
    with path.open() as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    ("config", "monitor"),
    [("multilabel.yaml", "val/mAP"), ("keypoints.yaml", "val/median_px"), ("biwi.yaml", "val/loss")],
)
def test_a_run_leaves_its_files_and_scores_again_from_the_checkpoint_alone(config, monitor, capsys):
    name = config.removesuffix(".yaml").replace("keypoints", "keypoint").replace("multilabel", "multi_label")
    assert fit(config, *draw(config), "--checkpoint.monitor", monitor) == 0
    run = Path("runs") / name / "version_0"
    assert {"config.yaml", "metrics.csv", "results.png", "checkpoints"} <= {path.name for path in run.iterdir()}
    assert list(run.glob("events.out.tfevents.*"))
    assert {path.name for path in (run / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}
    scores = {row["epoch"]: float(row[monitor]) for row in rows_of(run / "metrics.csv") if row[monitor]}
    assert list(scores) == ["0", "1"]
    printed = capsys.readouterr().out
    assert re.search(r"epoch +train/loss +val/loss", printed)
    assert "best checkpoint  runs/" in printed

    assert console(["validate", "--ckpt_path", str(run / "checkpoints" / "last.ckpt"), "--data.num_workers", "0"]) == 0
    again = re.search(rf"{monitor} +([0-9.e-]+)", capsys.readouterr().out)
    assert float(again[1]) == pytest.approx(scores["1"], rel=1e-5)
    assert [path.name for path in run.parent.iterdir()] == ["version_0"]  # scoring writes nothing


def test_a_second_run_gets_its_own_folder_and_the_same_numbers(capsys):
    root = draw("keypoints.yaml")
    for _ in range(2):
        assert fit("keypoints.yaml", *root) == 0
    first, second = (Path("runs/keypoint") / f"version_{n}" for n in (0, 1))
    assert (first / "metrics.csv").read_bytes() == (second / "metrics.csv").read_bytes()
    weights = [
        torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"] for run in (first, second)
    ]
    assert all(torch.equal(value, weights[1][key]) for key, value in weights[0].items())
    assert fit("keypoints.yaml", *root, "--seed_everything", "7") == 0
    assert (first / "metrics.csv").read_bytes() != (first.parent / "version_2" / "metrics.csv").read_bytes()


def test_a_runs_saved_config_starts_a_new_run(trained):
    trained("multilabel.yaml")
    saved = "runs/multi_label/version_0/config.yaml"
    assert console(["fit", "--config", saved, "--trainer.max_epochs", "1", "--run_name", "again"]) == 0
    assert len(rows_of(Path("runs/again/version_0/metrics.csv"))) < len(
        rows_of(Path("runs/multi_label/version_0/metrics.csv"))
    )


def test_a_run_without_a_logger_still_has_its_folder():
    assert fit("multilabel.yaml", *draw("multilabel.yaml"), "--trainer.logger", "false") == 0
    assert {p.name for p in Path("runs/multi_label/version_0").iterdir()} == {
        "config.yaml",
        "checkpoints",
        "hparams.yaml",
        "metrics.csv",  # for the report
        "results.png",
    }


def test_a_checkpoint_carries_plain_values_alone(trained):
    trained("multilabel.yaml")
    checkpoint = torch.load("runs/multi_label/version_0/checkpoints/best.ckpt", weights_only=True)
    model, data = checkpoint["hyper_parameters"], checkpoint["datamodule_hyper_parameters"]
    assert not {"pretrained", "weights"} & set(model)  # or loading would fetch them again
    assert model["vocab"] == ["cat", "dog"]
    assert list(model["image_size"]) == [32, 40]
    assert data["root"] == "root"
    assert data["min_scale"] == 0.35
    assert checkpoint["state_dict"]["backbone.mean"].flatten().tolist() == pytest.approx([255 * 0.5] * 3)


def test_a_checkpoint_loads_in_python_without_its_data(trained):
    from lightning_tasks import KeypointRegressor

    trained("keypoints.yaml")
    shutil.rmtree("root")
    path = Path("runs/keypoint/version_0/checkpoints/best.ckpt")
    model = KeypointRegressor.load_from_checkpoint(path, weights_only=True).eval()
    assert model.point_names == ["l", "r"]
    assert model(torch.zeros(1, 3, 32, 40, dtype=torch.uint8)).shape == (1, 2, 2)


def test_a_checkpoint_is_tested_on_a_table_of_its_own(trained, capsys):
    trained("multilabel.yaml")
    Path("root/test.csv").write_text("fname,labels\n1.jpg,cat\n2.jpg,\n")
    best = "runs/multi_label/version_0/checkpoints/best.ckpt"
    Path("root/labels.csv").unlink()  # the checkpoint knows the labels
    assert console(["test", "--ckpt_path", best, "--data.test_csv", "test.csv", "--data.num_workers", "0"]) == 0
    assert re.search(r"test/accuracy_all_negative +0\.75", capsys.readouterr().out)


def test_the_command_line_beats_the_checkpoint(capsys):
    # One label in four cells: everything predicted scores 1/4, nothing 3/4.
    rows = [
        "fname,labels,is_valid",
        *(f"{i}.jpg,{'cat' if i == 7 else 'dog' * (i < 2) + ' cat' * (i < 2)},{i >= 6}" for i in range(8)),
    ]
    write_multilabel(Path("root"), rows)
    assert fit("multilabel.yaml", "--data.root", "root") == 0
    best = "runs/multi_label/version_0/checkpoints/best.ckpt"
    accuracies = []
    for threshold in ("0", "1"):
        console(["validate", "--ckpt_path", best, "--data.num_workers", "0", "--model.threshold", threshold])
        accuracies.append(float(re.search(r"val/accuracy +([0-9.]+)", capsys.readouterr().out)[1]))
    assert accuracies == [0.25, 0.75]


def test_prepare_says_what_it_found(capsys):
    root = draw("biwi.yaml")
    assert console(["prepare", "--config", str(CONF / "biwi.yaml"), *root]) == 0
    assert "16 images, 14 training, 2 validation" in capsys.readouterr().out


def test_prepare_draws_a_sample_that_is_not_there(capsys):
    assert console(["prepare", "--config", str(CONF / "pascal_sample.yaml"), "--data.root", "new/sample"]) == 0
    assert "400 images" in capsys.readouterr().out


def spoil_header(root):
    (root / "labels.csv").write_text("name,labels\n0.jpg,cat\n")


def spoil_image(root):
    (root / "7.jpg").unlink()


def spoil_pixels(root):
    (root / "7.jpg").write_bytes(b"no image")


def spoil_label(root):
    (root / "labels.csv").write_text("\n".join([*LABELS[:-1], "7.jpg,cow,True"]))


def nothing(root):
    pass


@pytest.mark.parametrize(
    ("spoil", "more", "parts"),
    [
        (nothing, ["--data.root", "nowhere"], ["nowhere", "--data.root"]),
        (spoil_header, [], ["labels.csv", "row 1", "'fname'"]),
        (spoil_image, [], ["row 9", "'fname'", "7.jpg"]),
        (spoil_pixels, [], ["7.jpg", "not an image"]),
        (spoil_pixels, ["--data.num_workers", "1"], ["7.jpg", "not an image"]),
        (spoil_label, [], ["row 9", "'labels'", "'cow'"]),
        (nothing, ["--model.backbone", "resnet51"], ["'resnet51'", "resnet50"]),
        (nothing, ["--model.weights", "w.pth"], ["w.pth", "does not fit", "missing"]),
        (nothing, ["--data.fold", "9"], ["fold 9 of 5"]),
        (nothing, ["--ckpt_path", "none.ckpt"], ["no checkpoint none.ckpt"]),
        (nothing, ["--runs_dir", "w.pth"], ["w.pth", "--runs_dir"]),
        (nothing, ["--trainer.max_epochs", "-1"], ["max_epochs"]),
        (nothing, ["--model", "KeypointRegressor"], ["KeypointRegressor needs a data module with points"]),
        pytest.param(
            nothing, ["--trainer.accelerator", "gpu"], ["No supported gpu backend"],
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has the GPU"),
        ),
        (nothing, ["--checkpoint.monitor", "val/nothing"], ["val/nothing"]),
        (nothing, ["--checkpoint.filename", "last"], ["checkpoints/last.ckpt", "another name"]),
        (nothing, ["--checkpoint.save_last", "true"], ["checkpoints/last.ckpt", "another name"]),
        (nothing, ["--data.batch_size", "1"], ["Batches of 1", "data.batch_size"]),
        (nothing, ["--data.size", "0"], ["data.size is 0"]),
        (nothing, ["--data.min_scale", "2"], ["data.min_scale is 2"]),
        (nothing, ["--model.lr_mult", "0"], ["lr_mult"]),
        (nothing, ["--model.threshold", "2"], ["model.threshold is 2"]),
    ],
)  # fmt: skip
def test_mistakes_are_told_in_one_line(spoil, more, parts, capsys):
    root = draw("multilabel.yaml")
    spoil(Path("root"))
    torch.save({"some.weight": torch.zeros(1)}, "w.pth")
    assert fit("multilabel.yaml", *root, *more) == 2
    error = capsys.readouterr().err
    message = error[error.index("error: ") :].strip()
    assert "Traceback" not in error
    assert "\n" not in message
    assert all(part in message for part in parts), message


@pytest.mark.parametrize(
    "more",
    [
        ["--checkpoint.monitor", "null"],
        ["--trainer.precision", "bf16-true"],
        ["--trainer.callbacks", "OneCycle"],
        ["--trainer.check_val_every_n_epoch", "2"],
    ],
)
def test_unusual_settings_run(more, capsys):
    assert fit("multilabel.yaml", *draw("multilabel.yaml"), *more) == 0
    names = {path.name for path in Path("runs/multi_label/version_0/checkpoints").iterdir()}
    assert names == {"best.ckpt", "last.ckpt"}


@pytest.mark.parametrize("data", ["tests.own_classes.OwnData", "MultiLabelDataModule"])
def test_a_users_own_model_and_data_run(data):
    more = (
        ["--data.num_workers", "0", "--data.size", "32", *draw("multilabel.yaml")] if data.startswith("Multi") else []
    )
    settings = ["--trainer.max_epochs", "1", "--trainer.accelerator", "cpu", "--run_name", "own"]
    assert console(["fit", "--model", "tests.own_classes.OwnModel", "--data", data, *more, *settings]) == 0
    assert Path("runs/own/version_0/checkpoints/last.ckpt").is_file()
    assert not Path("runs/own/version_0/results.png").exists()


def test_a_run_resumes_from_its_last_checkpoint():
    root = draw("keypoints.yaml")
    assert fit("keypoints.yaml", *root) == 0
    whole = torch.load("runs/keypoint/version_0/checkpoints/last.ckpt", weights_only=True)
    assert fit("keypoints.yaml", *root, "--trainer.max_epochs", "2", "--trainer.max_steps", "1") == 0
    half = "runs/keypoint/version_1/checkpoints/last.ckpt"
    assert torch.load(half, weights_only=True)["global_step"] == 1
    assert fit("keypoints.yaml", *root, "--ckpt_path", half) == 0
    resumed = torch.load("runs/keypoint/version_2/checkpoints/last.ckpt", weights_only=True)
    assert resumed["global_step"] == whole["global_step"] == 2
    rates = [[g["lr"] for g in run["optimizer_states"][0]["param_groups"]] for run in (whole, resumed)]
    assert rates[0] == rates[1]
    other = fit("keypoints.yaml", *root, "--ckpt_path", half, "--model.backbone", "test_efficientnet")
    assert other == 2


def test_a_checkpoint_from_python_needs_a_config_and_says_so(capsys):
    from pytorch_lightning import Trainer

    from lightning_tasks import KeypointDataModule, KeypointRegressor

    root = draw("keypoints.yaml")
    data = KeypointDataModule(root[1], size=(32, 40), num_workers=0, batch_size=4)
    model = KeypointRegressor(data.point_names, "test_resnet", image_size=data.image_size)
    trainer = Trainer(
        max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False
    )
    trainer.fit(model, data)
    trainer.save_checkpoint("python.ckpt")
    score = ["validate", "--ckpt_path", "python.ckpt"]
    assert console(score) == 2
    assert "--config FILE" in capsys.readouterr().err
    shape = ["--data.size", "[32,40]", "--model.pretrained", "false"]
    assert console([*score, "--config", str(CONF / "keypoints.yaml"), *root, *FLAGS, *shape]) == 0


def test_mistakes_in_points_and_poses_are_told(capsys):
    write_points(Path("root"), [*POINTS[:-1], "7.jpg,True,5,6,x,7"])
    assert fit("keypoints.yaml", "--data.root", "root") == 2
    assert "row 9, column 'r_x': 'x' is not a number" in capsys.readouterr().err
    draw_biwi(Path("biwi"), frames=2)
    write_pose(Path("biwi/05/frame_00001_pose.txt"), (1, 2))
    assert fit("biwi.yaml", "--data.root", "biwi") == 2
    assert "frame_00001_pose.txt: row 5: expected 3 numbers" in capsys.readouterr().err


@pytest.mark.parametrize("content", [None, b"", b"nothing", b"PK\x03\x04cut", [1]])
def test_a_file_that_is_no_checkpoint_is_told(content, capsys):
    if isinstance(content, bytes):
        Path("x.ckpt").write_bytes(content)
    elif content is not None:
        torch.save(content, "x.ckpt")
    assert console(["validate", "--ckpt_path", "x.ckpt"]) == 2
    assert re.match(r"error: .*x\.ckpt", capsys.readouterr().err)


def test_a_checkpoint_that_holds_code_runs_nothing(capsys):
    class Evil:
        def __reduce__(self):
            return Path.touch, (Path("ran"),)

    torch.save({"hyper_parameters": Evil()}, "x.ckpt")
    assert console(["validate", "--ckpt_path", "x.ckpt"]) == 2
    assert "not a checkpoint of tensors and plain values" in capsys.readouterr().err
    assert not Path("ran").exists()


def test_a_checkpoint_of_other_labels_is_told(trained, capsys):
    trained("multilabel.yaml")
    best = "runs/multi_label/version_0/checkpoints/best.ckpt"
    assert console(["validate", "--ckpt_path", best, "--data.num_workers", "0", "--data.vocab", "[dog,cat]"]) == 2
    assert "2 labels (cat, dog), the data has 2 (dog, cat)" in capsys.readouterr().err


def test_only_the_verb_in_hand_gets_a_parser(monkeypatch, capsys):
    parsers = []
    monkeypatch.setattr(TaskCLI, "add_arguments_to_parser", lambda self, parser: parsers.append(parser))
    with pytest.raises(SystemExit):
        console(["prepare", "--help"])
    assert len(parsers) == 1
    with pytest.raises(SystemExit):
        console(["prepair"])
    told = capsys.readouterr().err
    assert all(f"'{verb}'" in told for verb in ("prepare", "fit", "report"))


def test_words_that_cannot_be_parsed_exit_with_2():
    with pytest.raises(SystemExit) as caught:
        console(["fit", "--config", str(CONF / "multilabel.yaml"), "--data.colour", "red"])
    assert caught.value.code == 2
