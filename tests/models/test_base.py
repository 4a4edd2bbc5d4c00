"""What the models of every task share."""

from pathlib import Path

import pytest
import torch
from jsonargparse import ArgumentParser

from lightning_tasks import KeypointRegressor, MultiClassClassifier, MultiLabelClassifier
from lightning_tasks.models.base import ImageModel
from lightning_tasks.models.means import mean_of_views

BOTH = {"backbone", "image_size", "head", "lr", "lr_mult", "weight_decay"}
LABELS = BOTH | {"vocab", "temperature", "loss", "label_smoothing", "class_weight"}
KEPT = {
    MultiLabelClassifier: LABELS | {"threshold", "pos_weight", "asymmetric_gamma", "asymmetric_clip"},
    MultiClassClassifier: LABELS,
    KeypointRegressor: BOTH | {"point_names", "max_stride", "y_range", "normalize_by"},
}
RUNS = Path(__file__).parents[1] / "recorded" / "runs"
PASSED_ON = {"pretrained": False, "weights": None, "flip_tta": False, "compile": False, "architecture": None}


@pytest.fixture(params=KEPT, ids=lambda cls: cls.__name__)
def cls(request):
    return request.param


@pytest.fixture
def signature(cls):
    """What the command line knows of a model's arguments, by name."""
    parser = ArgumentParser()
    parser.add_class_arguments(cls, "model")
    return {action.dest.removeprefix("model."): action for action in parser._actions if "model." in action.dest}


def test_a_checkpoint_keeps_the_settings_that_it_always_kept(cls):
    assert set(cls(["a", "b"], "test_resnet", image_size=(32, 32)).hparams) == KEPT[cls]


def test_the_command_line_knows_every_argument_with_type_default_and_text(cls, signature):
    assert set(signature) == KEPT[cls] | set(PASSED_ON)
    assert {name: signature[name].default for name in PASSED_ON} == PASSED_ON
    assert (signature["lr_mult"].default, signature["weight_decay"].default) == (10.0, 0.01)
    assert all(action.help for action in signature.values())
    assert all(getattr(action, "_typehint", None) or action.type for action in signature.values())


def test_help_lists_what_the_parent_takes(capsys):
    parser = ArgumentParser()
    parser.add_subclass_arguments(ImageModel, "model")
    with pytest.raises(SystemExit):
        parser.parse_args(["--model.help", "lightning_tasks.MultiClassClassifier"])
    told = capsys.readouterr().out
    assert "--model.lr_mult LR_MULT" in told
    assert "the head's rate over the early body's" in " ".join(told.split())
    assert "--model.temperature" in told
    assert "threshold" not in told


def test_every_model_says_which_score_is_to_be_watched(cls):
    assert (cls.monitor, cls.mode) == {
        MultiLabelClassifier: ("val/mAP", "max"),
        MultiClassClassifier: ("val/mAP", "max"),
        KeypointRegressor: ("val/median_px", "min"),
    }[cls]


def test_a_subclass_with_a_constructor_of_its_own_works():
    class Small(MultiLabelClassifier):
        def __init__(self, vocab, image_size=(32, 32)):
            super().__init__(vocab, "test_resnet", image_size, head="linear", threshold=0.3)

    model = Small(["a", "b"]).eval()
    assert model.thresholds.tolist() == pytest.approx([0.3, 0.3])
    assert model(torch.zeros(1, 3, 32, 32)).shape == (1, 2)


def test_views_are_averaged():
    views = [torch.rand(2, 3) for _ in range(3)]
    torch.testing.assert_close(mean_of_views(views), (views[0] + views[1] + views[2]) / 3)
    assert mean_of_views(views[:1]) is views[0]


def test_a_loss_is_to_be_low_and_the_others_as_the_watched_score():
    assert [MultiLabelClassifier.mode_of(f"val/{name}") for name in ("loss", "mAP", "accuracy")] == [
        "min",
        "max",
        "max",
    ]
    assert [KeypointRegressor.mode_of(f"val/{name}") for name in ("loss", "p95_px", "nme")] == ["min"] * 3


@pytest.mark.parametrize(
    ("cls", "run"),
    [
        (MultiLabelClassifier, "labels"),
        (MultiClassClassifier, "one_label"),
        (KeypointRegressor, "points"),
        (KeypointRegressor, "heatmap"),
    ],
)
def test_checkpoints_of_the_version_before_are_loaded(cls, run):
    path = RUNS / run / "version_0" / "checkpoints" / "best.ckpt"
    model = cls.load_from_checkpoint(path)
    stored = torch.load(path, weights_only=True)["state_dict"]
    assert all(torch.equal(value, stored[name]) for name, value in model.state_dict().items())
    assert type(model) is cls
