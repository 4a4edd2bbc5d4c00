"""The data modules' arguments: shown, kept and refused alike, whichever class they were written down in."""

import inspect
import re

import docstring_parser
import pytest
from pytorch_lightning import Trainer

import lightning_tasks
from lightning_tasks import KeypointDataModule, KeypointRegressor, MultiLabelDataModule
from lightning_tasks.__main__ import console
from lightning_tasks.data.datamodule import ImageDataModule
from lightning_tasks.errors import ConfigError
from tests.fakes import POINTS, write_points

# What checkpoints held when each class still wrote all of its arguments down; `max_bad_share` is now
# `max_bad_fraction`, and `flip` is `flip_p`. `stratify`, `oversample_threshold` and `train_size` came later.
OF_ALL = {
    *("root", "csv", "images", "test_csv", "test_images", "size", "batch_size", "num_workers", "decode_side"),
    *("white_level", "on_bad_image", "max_bad_fraction", "valid_fraction", "fold", "folds", "split_seed", "seed"),
    *("stratify", "oversample_threshold", "train_size"),
}
OF_LABELS = OF_ALL | {
    *("label_separator", "difficult", "start_size", "min_scale", "flip_p", "val_xtra", "mixup_alpha", "cutmix_alpha"),
    *("train_on_valid", "vocab"),
}
OF_POINTS = OF_ALL | {
    *("flip_p", "swap_pairs", "max_rotate_deg", "max_zoom", "max_warp", "max_lighting", "point_names"),
}
KEPT = {
    "MultiLabelDataModule": OF_LABELS,
    "PascalDataModule": OF_LABELS,
    "PascalSampleDataModule": OF_LABELS,
    "KeypointDataModule": OF_POINTS | {"start_size", "train_on_valid"},
    "BiwiDataModule": OF_POINTS | {"start_size", "train_on_valid", "validation_sequences", "label_frame"},
    "BiwiSampleDataModule": OF_POINTS | {"start_size", "train_on_valid", "validation_sequences", "label_frame"},
}


@pytest.mark.parametrize("name", KEPT)
def test_a_checkpoint_keeps_the_settings_that_it_always_kept(name):
    made = getattr(lightning_tasks, name)("root", batch_size=7)
    assert set(made.hparams) == KEPT[name]
    assert (made.hparams["root"], made.hparams["batch_size"], made.hparams["decode_side"]) == ("root", 7, None)


def test_a_checkpoint_keeps_what_was_given_and_what_was_not():
    biwi = lightning_tasks.BiwiDataModule(label_frame="calibrated", max_warp=0.0)
    kept = {name: biwi.hparams[name] for name in ("root", "csv", "label_frame", "size", "max_warp", "max_zoom", "seed")}
    assert kept == {
        "root": "data/biwi_head_pose", "csv": ".", "label_frame": "calibrated", "size": (240, 320), "max_warp": 0.0,
        "max_zoom": 1.1, "seed": 42,
    }  # fmt: skip


def arguments_of(cls):
    """The arguments of a class and of those above it, the lowest's first: each one's default and text."""
    found = {}
    for base in (base for base in cls.__mro__ if issubclass(base, ImageDataModule) and "__init__" in vars(base)):
        texts = {param.arg_name: param.description for param in docstring_parser.parse(base.__doc__).params}
        for argument in inspect.signature(base.__init__).parameters.values():
            if argument.kind is argument.POSITIONAL_OR_KEYWORD and argument.name != "self":
                found.setdefault(argument.name, (argument.default, " ".join(texts[argument.name].split())))
    return found


@pytest.mark.parametrize(
    ("name", "fixed"),
    [
        ("PascalDataModule", set()),
        ("MultiClassDataModule", set()),
        (
            "BiwiDataModule",
            {"csv", "images", "test_csv", "test_images", "swap_pairs", "point_names", "valid_fraction"},
        ),
    ],
)
def test_help_shows_every_argument(name, fixed, capsys):
    with pytest.raises(SystemExit):
        console(["fit", "--data.help", name])
    text = " ".join(capsys.readouterr().out.split()).partition("Help for")[2]
    arguments = arguments_of(getattr(lightning_tasks, name))
    assert fixed < set(arguments)
    shown = set(re.findall(r"--data\.(\w+)[ ,]", text))
    assert shown == set(arguments) - fixed
    for argument in shown:
        default, words = arguments[argument]
        found = re.search(rf"--data\.{argument}[ ,].*? {re.escape(words)} \((.*?)\)", text)
        assert found, argument
        assert "type: " in found[1]
        if isinstance(default, (int, float, str)):
            assert found[1].endswith(f"default: {default}")


def test_an_argument_that_there_is_not_is_named():
    for made in (KeypointDataModule, MultiLabelDataModule, lightning_tasks.PascalDataModule):
        with pytest.raises(TypeError, match="'rooot'"):
            made("root", rooot="x")
    with pytest.raises(TypeError, match="'csv'"):  # its table is its own
        lightning_tasks.BiwiDataModule(csv="points.csv")


@pytest.mark.parametrize("head", ["regression", "heatmap"])
def test_points_may_begin_small_too(tmp_path, head):
    write_points(tmp_path, POINTS)
    data = KeypointDataModule(str(tmp_path), num_workers=0, batch_size=6, size=64, start_size=32, cache="none")
    model = KeypointRegressor(data.point_names, "test_resnet", image_size=(64, 64), head=head)
    seen = []
    model.backbone.register_forward_pre_hook(lambda module, args: seen.append((module.training, args[0].shape[2])))
    trainer = Trainer(
        accelerator="cpu", max_epochs=2, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0, use_distributed_sampler=False,
    )  # fmt: skip
    trainer.fit(model, data)
    assert [size for training, size in seen if training] == [32, 64]
    assert {size for training, size in seen if not training} <= {32, 64}
    assert seen[-1] == (False, 64)


def test_points_for_validation_may_train_too(tmp_path):
    write_points(tmp_path, POINTS)
    data = KeypointDataModule(str(tmp_path), num_workers=0, size=16, train_on_valid=True, cache="none")
    data.setup("fit")
    assert (len(data.train_set), len(data.valid_set)) == (8, 2)


def test_how_likely_points_are_mirrored(tmp_path):
    write_points(tmp_path, POINTS)

    def flip_p(**settings):
        return KeypointDataModule(str(tmp_path), **settings).make_train_transform().transforms[0].flip_p

    assert [flip_p(), flip_p(swap_pairs=[("l", "r")]), flip_p(flip_p=0.25)] == [0.0, 0.5, 0.25]
    assert flip_p(flip_p=0.0, swap_pairs=[("l", "r")]) == 0.0
    with pytest.raises(ConfigError, match=r"data.flip_p is 1.5"):
        flip_p(flip_p=1.5)
