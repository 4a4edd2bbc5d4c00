"""What may not be exported: a file that says something else, or nothing that is a number."""

import shutil
import warnings
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from lightning_tasks import MultiLabelClassifier, load
from lightning_tasks.__main__ import console
from lightning_tasks.checkpoint import read_checkpoint
from lightning_tasks.deploy.exports.onnx_file import open_onnx, quantise
from lightning_tasks.errors import ConfigError
from lightning_tasks.tasks.keypoints.output import PointFormat
from lightning_tasks.verbs import export as export_module


def scaled(checkpoint, path, factor):
    """Write the checkpoint with a first convolution that much larger, and its statistics: the same function."""
    content = read_checkpoint(checkpoint)
    state = content["state_dict"]
    for name, power in (("conv1.0.weight", 1), ("conv1.1.running_mean", 1), ("conv1.1.running_var", 2)):
        state[f"backbone.body.{name}"] *= factor**power
    state["head.6.weight"] *= 30  # sure of what it says, so that what it says can change
    torch.save(content, path)
    return path


@pytest.fixture(scope="module")
def overflowing(labels_run, tmp_path_factory):
    """Checkpoints of one function, whose numbers are larger and larger."""
    folder, ckpt = labels_run
    out = tmp_path_factory.mktemp("scaled")
    return folder, {factor: scaled(folder / ckpt, out / f"{factor:g}.ckpt", factor) for factor in (1.0, 3e3, 1e6)}


@pytest.mark.parametrize(
    ("factor", "more", "message"),
    [
        (3e3, [], "they differ by"),
        (3e3, ["--max_difference", "1"], None),
        (1e6, ["--max_difference", "1e30"], "it says NaN or infinity"),
    ],
)
def test_what_overflows_in_float16_is_not_left(overflowing, factor, more, message, tmp_path, capsys):
    folder, checkpoints = overflowing
    image = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    both = [load(checkpoints[one], "cpu")(image).probabilities for one in (1.0, factor)]
    assert both[1] == pytest.approx(both[0], abs=1e-3)
    arguments = ["--data_root", str(folder / "root"), "--precision", "float16", "--output", str(tmp_path / "m.onnx")]
    done = console(["export", str(checkpoints[factor]), *arguments, *more])
    printed = capsys.readouterr()
    if message is None:
        assert done == 0
        assert "(bound: 1)" in printed.out if more else "(bound: 0.1)" in printed.out
        assert "nan" not in printed.out
        return
    assert done == 2
    assert message in printed.err
    assert "nan" not in printed.err.replace("NaN", "")
    assert ("--max_difference" in printed.err) == (message == "they differ by")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("value", ["0", "-1", ".nan", ".inf"])
def test_a_bound_that_is_none(value, capsys):
    assert console(["export", "any.ckpt", "--max_difference", value]) == 2
    assert "--max_difference is" in capsys.readouterr().err


def test_the_whole_validation_split_is_held_to_the_bound(labels_run, tmp_path, monkeypatch, capsys):
    """Not the images alone that it was checked with first."""
    folder, ckpt = labels_run
    real = export_module.open_onnx

    def opened(path):
        run = real(path)
        calls = []

        def wrong_at_last(images):
            calls.append(images)
            return run(images) * (np.nan if len(calls) > 3 else 1)

        return wrong_at_last

    monkeypatch.setattr(export_module, "open_onnx", opened)
    arguments = ["--data_root", str(folder / "root"), "--precision", "float16", "--n", "1"]
    assert console(["export", str(folder / ckpt), *arguments, "--output", str(tmp_path / "m.onnx")]) == 2
    assert "NaN or infinity, over 2 validation images" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("diverged", [False, True])
def test_a_checkpoint_that_says_nan_is_told_apart_from_an_export_that_does(labels_run, diverged, tmp_path, capsys):
    content = read_checkpoint(labels_run[0] / labels_run[1])
    content["state_dict"]["head.6.weight"][:] = torch.nan if diverged else 0
    torch.save(content, tmp_path / "x.ckpt")
    arguments = ["--data_root", str(labels_run[0] / "root"), "--format", "safetensors"]
    assert console(["export", str(tmp_path / "x.ckpt"), *arguments]) == (2 if diverged else 0)
    assert ("The model predicts NaN: its training diverged" in capsys.readouterr().err) == diverged


def test_a_score_that_is_none_is_no_number(labels_run, tmp_path, capsys):
    folder, ckpt = labels_run
    root = shutil.copytree(folder / "root", tmp_path / "root")
    lines = (root / "labels.csv").read_text().splitlines()
    (root / "labels.csv").write_text("\n".join([*lines[:7], "6.jpg,,True", "7.jpg,,True"]) + "\n")
    arguments = ["--data_root", str(root), "--precision", "float16", "--output", str(tmp_path / "m.onnx")]
    assert console(["export", str(folder / ckpt), *arguments]) == 0
    printed = capsys.readouterr().out
    assert "mAP: none, as nothing is annotated" in printed
    assert "nan" not in printed
    points = SimpleNamespace(points_px=np.full((2, 1, 2), np.nan, np.float32))
    with warnings.catch_warnings(action="error"):
        assert np.isnan(PointFormat(("l",), None, (8, 8)).score(np.zeros((2, 1, 2), np.float32), points, [0, 1]))


def test_a_transformer_is_not_quantised_whole(labels_run, tmp_path, capsys):
    model = MultiLabelClassifier(["a", "b"], "test_vit", image_size=(64, 64))
    checkpoint = tmp_path / "x.ckpt"
    torch.save({"state_dict": model.state_dict(), "hyper_parameters": dict(model.hparams)}, checkpoint)
    arguments = ["export", str(checkpoint), "--images", str(labels_run[0] / "root"), "--n", "2"]
    assert console([*arguments, "--precision", "int8"]) == 2
    assert "int8 is for convolutions" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["x.ckpt"]


def graph_of(path, convolutions):
    """Write a network of these convolutions (groups of each), then a matrix product, for 8 channels."""
    weights, nodes, name = [], [], "scaled"
    for i, groups in enumerate(convolutions):
        shape = (8, 8 // groups, 1, 1)
        weights.append(numpy_helper.from_array(np.full(shape, 0.1, np.float32), f"w{i}"))
        nodes.append(helper.make_node("Conv", [name, f"w{i}"], [f"x{i}"], name=f"conv{i}", group=groups))
        name = f"x{i}"
    weights.append(numpy_helper.from_array(np.eye(4, dtype=np.float32), "m"))
    nodes = [helper.make_node("Cast", ["images"], ["scaled"], to=TensorProto.FLOAT), *nodes]
    nodes.append(helper.make_node("MatMul", [name, "m"], ["out"], name="matmul"))
    given = helper.make_tensor_value_info("images", TensorProto.UINT8, [1, 8, 4, 4])
    output = helper.make_tensor_value_info("out", TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "g", [given], [output], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)


@pytest.mark.parametrize("convolutions", [(), (1,), (8,), (1, 8), (1, 8, 8, 4), (8, 8)])
def test_nothing_to_quantise_is_not_everything(convolutions, tmp_path):
    graph_of(tmp_path / "f.onnx", convolutions)
    with pytest.raises(ConfigError, match="int8 is for convolutions"):
        quantise(tmp_path / "f.onnx", tmp_path / "q.onnx", [np.full((1, 8, 4, 4), 200, np.uint8)])
    assert not (tmp_path / "q.onnx").exists()


def test_only_what_is_named_is_quantised(tmp_path):
    graph_of(tmp_path / "f.onnx", (1, 8, 1, 8, 1))
    image = np.random.default_rng(0).integers(0, 256, (1, 8, 4, 4), dtype=np.uint8)
    quantise(tmp_path / "f.onnx", tmp_path / "q.onnx", [image])
    model = onnx.load(tmp_path / "q.onnx")
    dequantised = {output for node in model.graph.node if "Dequantize" in node.op_type for output in node.output}
    inside = {node.name for node in model.graph.node if node.name and node.input[1:2] and node.input[1] in dequantised}
    assert {name.removesuffix("_quant") for name in inside} == {"conv2", "conv4"}
    assert open_onnx(tmp_path / "q.onnx")(image) == pytest.approx(open_onnx(tmp_path / "f.onnx")(image), rel=0.05)
