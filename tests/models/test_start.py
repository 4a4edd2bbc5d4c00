"""A model that starts from an own checkpoint or export: the same body, and the outputs that both know."""

import json
import math
from pathlib import Path

import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from lightning_tasks import KeypointRegressor, MultiClassClassifier, MultiLabelClassifier, ValueRegressor
from lightning_tasks.__main__ import console
from lightning_tasks.models.backbone import weights_follow
from lightning_tasks.tasks.registry import TASKS
from lightning_tasks.tasks.values.statistics import Statistics, statistics_of
from tests.conftest import train as train_run
from tests.fakes import LABELS, write_multilabel

IMAGES = torch.randint(0, 256, (3, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
RECORDED = Path(__file__).parents[1] / "recorded" / "runs"
KINDS = {
    "linear": (MultiLabelClassifier, {"head": "linear"}),
    "fastai": (MultiLabelClassifier, {"head": "fastai"}),
    "attention": (MultiLabelClassifier, {"head": "attention"}),
    "one label": (MultiClassClassifier, {"head": "linear"}),
    "one label, fastai": (MultiClassClassifier, {"head": "fastai"}),
    "points": (KeypointRegressor, {"head": "regression"}),
    "heatmap": (KeypointRegressor, {"head": "heatmap"}),
    "values": (ValueRegressor, {}),
    "values in a range": (ValueRegressor, {"y_range": (0.0, 120.0)}),
}
WITH_PRIOR = {"linear", "attention"}


def make(kind, names, weights=None, **more):
    cls, options = KINDS[kind]
    given = {"backbone": "test_resnet", "image_size": (32, 32), **options, **more}
    return cls(names, weights=None if weights is None else str(weights), **given).eval()


@torch.no_grad()
def train(model, seed=0):
    """Move everything that a training moves."""
    generator = torch.Generator().manual_seed(seed)
    for tensor in model.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(tensor * 0.8 + 0.2 * torch.rand(tensor.shape, generator=generator))
    return model


def save(model, path, **beside):
    content = {"state_dict": model.state_dict(), "hyper_parameters": dict(model.hparams), **beside}
    torch.save({"pytorch-lightning_version": "2.6.0", **content}, path)
    return path


@torch.no_grad()
def predict(model):
    """Outputs and predictions (B, N, ...)."""
    outputs = model(IMAGES)
    return outputs, model.decode(outputs)


def told(capsys):
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("weights  ")]
    assert len(lines) <= 1
    return lines[0].removeprefix("weights          ") if lines else None


@pytest.mark.parametrize("kind", KINDS)
def test_with_the_same_names_it_predicts_exactly_what_the_checkpoint_does(kind, tmp_path, capsys):
    old = train(make(kind, ["a", "b", "c"]))
    path = save(old, tmp_path / "best.ckpt")
    new = make(kind, ["a", "b", "c"], path)
    assert told(capsys) == f"body of {path}; head: 3 of 3 {new.names_noun} taken"
    assert all(torch.equal(value, new.state_dict()[name]) for name, value in old.state_dict().items())
    assert all(torch.equal(*pair) for pair in zip(predict(old), predict(new), strict=True))


def is_exclusive(model):
    return getattr(model, "is_exclusive", False)


NAMES = st.lists(st.sampled_from("abcdefgh"), unique=True, min_size=2)


@settings(max_examples=40)
@given(kind=st.sampled_from(sorted(KINDS)), old_names=NAMES, new_names=NAMES)
def test_known_outputs_stay_and_new_ones_begin_at_their_prior(kind, old_names, new_names, tmp_path_factory):
    old = train(make(kind, old_names))
    path = save(old, tmp_path_factory.getbasetemp() / f"{kind}.ckpt")
    new = make(kind, new_names, path)
    fresh = make(kind, new_names)
    known = [name for name in new_names if name in old_names]
    # A softmax's probabilities are of all labels, so that new ones change those of the others.
    for before, after in list(zip(predict(old), predict(new), strict=True))[: 1 if is_exclusive(new) else 2]:
        wanted = before[:, [old_names.index(name) for name in known]]
        torch.testing.assert_close(after[:, [new_names.index(name) for name in known]], wanted, rtol=1e-4, atol=1e-5)
    others = [index for index, name in enumerate(new_names) if name not in old_names]
    if kind in WITH_PRIOR:
        assert torch.equal(predict(new)[0][:, others], predict(fresh)[0][:, others])
        assert predict(new)[0][:, others].flatten().tolist() == pytest.approx(
            [-math.log(len(new_names) - 1)] * 3 * len(others)
        )


def test_a_new_class_begins_as_likely_as_the_others_are_on_average(tmp_path):
    old = train(make("one label", ["a", "b", "c"]))
    with torch.no_grad():
        old.head[-1].bias += 100  # which a softmax does not see
    new = make("one label", ["x", "c", "a", "y"], save(old, tmp_path / "best.ckpt"))
    middle = new.head[-1](torch.zeros(1, old.head[-1].in_features)).softmax(1)[0]
    assert middle[[0, 3]].tolist() == pytest.approx([0.25] * 2, rel=1e-4)
    assert (middle[2] / middle[1]).log().item() == pytest.approx(
        (old.head[-1].bias[0] - old.head[-1].bias[2]).item(), abs=1e-4
    )


def test_it_says_what_was_taken(tmp_path, capsys):
    path = save(train(make("linear", ["zebra", "cafe\u0301", "b"])), tmp_path / "best.ckpt")
    make("linear", ["kite", "b", "caf\u00e9", "yak"], path)
    assert told(capsys) == f"body of {path}; head: 2 of 4 labels taken, new: kite, yak; not taken: zebra"
    make("linear", [str(number) for number in range(30)], path)
    assert "head: 0 of 30 labels taken, new: 0, 1, 2, 3, 4, 5, 6, 7, ...; not taken: zebra" in told(capsys)


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        (("fastai", {}), ("linear", {}), "its head is 'fastai', this model's 'linear'"),
        (("linear", {}), ("one label", {}), "its images have any number of labels"),
        (("one label", {}), ("linear", {}), "its images have exactly one label"),
        (("linear", {}), ("points", {}), "the file names no points"),
        (("points", {}), ("values", {}), "the file names no targets"),
        (("points", {}), ("points", {"y_range": (-2.0, 2.0)}), "its y_range is [-1.0, 1.0], this model's [-2.0, 2.0]"),
        (("values", {}), ("values in a range", {}), "its y_range is None, this model's [0.0, 120.0]"),
        (("heatmap", {"max_stride": 32}), ("heatmap", {"max_stride": 8}), "its max_stride is 32, this model's 8"),
        (("heatmap", {}), ("heatmap", {"y_range": (-2.0, 2.0)}), None),
        (("points", {"max_stride": 32}), ("points", {"max_stride": 8}), None),
    ],
)
def test_a_head_that_means_something_else_is_not_taken(old, new, why, tmp_path, capsys):
    before = train(make(old[0], ["a", "b"], **old[1]))
    path = save(before, tmp_path / "best.ckpt")
    torch.manual_seed(3)
    model = make(new[0], ["a", "b"], path, **new[1])
    assert told(capsys) == f"body of {path}; " + (
        "head: 2 of 2 points taken" if why is None else f"not its head: {why}"
    )
    body = model.backbone.state_dict()
    assert all(torch.equal(value, before.backbone.state_dict()[name]) for name, value in body.items())
    if why is not None:
        torch.manual_seed(3)
        fresh = make(new[0], ["a", "b"], **new[1]).head.state_dict()
        assert all(torch.equal(value, fresh[name]) for name, value in model.head.state_dict().items())


def test_a_head_of_another_width_is_not_taken_and_nothing_of_it(tmp_path, capsys):
    old = train(make("fastai", ["a", "b"]))
    old.head[2], old.head[6] = torch.nn.Linear(192, 7, bias=False), torch.nn.Linear(7, 2, bias=False)
    old.head[4] = torch.nn.BatchNorm1d(7)
    path = save(old, tmp_path / "best.ckpt")
    torch.manual_seed(3)
    new = make("fastai", ["b", "c"], path)
    assert "; not its head: size mismatch for 2.weight" in told(capsys)
    torch.manual_seed(3)
    fresh = make("fastai", ["b", "c"]).head.state_dict()
    assert all(torch.equal(value, fresh[name]) for name, value in new.head.state_dict().items())


def test_a_head_of_ones_own_is_taken_whole_or_not_at_all(tmp_path, capsys):
    class Own(MultiLabelClassifier):
        def configure_models(self, source):
            super().configure_models(source)
            self.head = torch.nn.Linear(192, len(self.vocab))

    path = save(train(Own(["a", "b"], "test_resnet", (32, 32))), tmp_path / "best.ckpt")
    same = Own(["a", "b"], "test_resnet", (32, 32), weights=str(path))
    assert told(capsys) == f"body of {path}; head: 2 of 2 labels taken"
    assert torch.equal(same.head.weight, torch.load(path, weights_only=True)["state_dict"]["head.weight"])
    Own(["b", "a"], "test_resnet", (32, 32), weights=str(path))
    assert "not its head: it does not say which of its tensors are of which output" in told(capsys)


def test_numbers_stay_what_they_are_in_their_own_units_whatever_the_new_data_says(tmp_path):
    for kind in ("values", "values in a range"):
        old = make(kind, ["age", "weight", "gone"])
        old.head.set_statistics(statistics_of(torch.tensor([[20.0, 3, 1], [50, 4, 2], [90, 9, 7]]).double().numpy()))
        train(old)
        new = make(kind, ["new", "weight", "age"], save(old, tmp_path / "best.ckpt"))
        row = new.head.layers[-1].weight[0].clone()
        before = predict(new)[1]
        torch.testing.assert_close(before[:, [2, 1]], predict(old)[1][:, :2])
        new_data = statistics_of(torch.tensor([[1e5, 80, 7], [3e5, 81, 5], [7e5, 70, 6]]).double().numpy())
        for statistics in (new_data, new_data, Statistics(*(part + 1 for part in new_data))):
            new.head.set_statistics(statistics)
            assert new.head.mean.tolist() == pytest.approx(statistics.mean.tolist())
            torch.testing.assert_close(predict(new)[1][:, 1:], before[:, 1:], rtol=1e-4, atol=1e-3)
            if statistics is new_data:
                assert torch.equal(new.head.layers[-1].weight[0], row)  # it begins in standard deviations
        kept = type(new).load_from_checkpoint(save(new, tmp_path / "next.ckpt"))
        assert torch.equal(predict(kept.eval())[1], predict(new)[1])


def test_a_checkpoint_of_numbers_without_offsets_is_read(tmp_path):
    old = train(make("values", ["age"]))
    old.head.offset.zero_()
    path = save(old, tmp_path / "best.ckpt")
    content = torch.load(path, weights_only=True)
    del content["state_dict"]["head.offset"]
    torch.save(content, path)
    for model in (make("values", ["age"], path), ValueRegressor.load_from_checkpoint(path).eval()):
        assert torch.equal(predict(model)[1], predict(old)[1])


def test_averaged_weights_are_taken(tmp_path):
    old = train(make("linear", ["a", "b"]))
    current = {name: value + 1 for name, value in old.state_dict().items()}
    path = save(old, tmp_path / "best.ckpt", current_model_state=current, averaging_state={"n": torch.tensor(3)})
    assert torch.equal(predict(make("linear", ["a", "b"], path))[0], predict(old)[0])


@pytest.mark.parametrize(
    ("run", "cls", "names", "taken"),
    [
        ("labels", MultiLabelClassifier, "vocab", "labels taken"),
        ("one_label", MultiClassClassifier, "vocab", "labels taken"),
        ("points", KeypointRegressor, "point_names", "points taken"),
        ("heatmap", KeypointRegressor, "point_names", "points taken"),
    ],
)
def test_checkpoints_of_the_version_before_are_taken(run, cls, names, taken, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)  # where the folder of a backbone that one is of is not
    path = RECORDED / run / "version_0" / "checkpoints" / "best.ckpt"
    old = cls.load_from_checkpoint(path).eval()
    wanted = {name: getattr(old.hparams, name) for name in ("backbone", "image_size", "head", names)}
    new = cls(**wanted, weights=str(path)).eval()
    n = len(getattr(new, names))
    assert f"; head: {n} of {n} {taken}" in told(capsys)
    assert torch.equal(new(IMAGES), old(IMAGES))


def test_a_run_starts_from_an_export_and_is_resumed_without_it(labels_run, tmp_path, monkeypatch, capsys):
    folder, checkpoint = labels_run
    monkeypatch.chdir(tmp_path)
    write_multilabel(tmp_path / "root", [line.replace("cat", "kite") for line in LABELS])
    export = ["export", str(folder / checkpoint), "--format", "safetensors", "--output", "own.safetensors"]
    assert console([*export, "--data_root", str(folder / "root")]) == 0
    assert console(["init", "root/labels.csv", "--weights", "own.safetensors"]) == 0
    assert yaml.safe_load(Path("labels.yaml").read_text())["model"]["init_args"]["backbone"] == "test_resnet"
    capsys.readouterr()
    best = train_run(tmp_path, "multilabel.yaml", "--model.weights", "own.safetensors")
    assert told(capsys) == "body of own.safetensors; head: 1 of 2 labels taken, new: kite; not taken: cat"
    for path in Path().glob("own.*"):
        path.unlink()
    config = str(Path(best).parents[1] / "config.yaml")
    assert console(["fit", "--config", config, "--ckpt_path", "last", "--trainer.max_epochs", "2"]) == 0
    assert told(capsys) is None


def test_an_export_without_its_settings_is_a_body(tmp_path, capsys):
    old = train(make("linear", ["a", "b"]))
    metadata = {"backbone": "test_resnet", "vocab": '["a", "b"]', "checkpoint_sha256": "1"}
    path = tmp_path / "own.safetensors"
    save_file({name: value.contiguous() for name, value in old.state_dict().items()}, path, metadata)
    beside = path.with_suffix(".json")
    without = "not its head: own.json, in which export wrote its settings, is not beside it"
    for described, said in (
        ({"metadata": metadata, "hyper_parameters": dict(old.hparams)}, "head: 2 of 2 labels taken"),
        ({"metadata": {**metadata, "checkpoint_sha256": "2"}, "hyper_parameters": dict(old.hparams)}, without),
        ([], without),
        (None, without),
    ):
        beside.unlink(missing_ok=True) if described is None else beside.write_text(json.dumps(described))
        model = make("linear", ["a", "b"], path)
        assert told(capsys) == f"body of {path}; {said}"
        assert torch.equal(predict(model)[0], predict(old)[0]) == (said != without)


def test_where_weights_follow_no_file_is_read(tmp_path, capsys):
    with weights_follow():
        model = make("linear", ["a"], tmp_path / "gone.ckpt")
    assert (model.vocab, capsys.readouterr().out) == (["a"], "")


def test_every_model_is_started_here():
    assert {task.model for task in TASKS} == {cls for cls, _ in KINDS.values()}
