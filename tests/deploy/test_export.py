"""A checkpoint in other programs' formats, read back by onnxruntime, torch and safetensors themselves."""

import json
import sys
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open

from lightning_tasks import load
from lightning_tasks.__main__ import console
from lightning_tasks.checkpoint import read_checkpoint
from lightning_tasks.deploy.exports.parity import Parity
from lightning_tasks.verbs import export as export_module

FORMATS = {"onnx": ".onnx", "torch": ".pt2", "safetensors": ".safetensors"}


def export(run, out, *formats):
    """Export a run in these formats, each checked on its own validation images; return their folder, and whose."""
    folder, ckpt = run
    for format in formats:
        arguments = ["--output", str(out / f"m{FORMATS[format]}"), "--data_root", str(folder / "root")]
        assert console(["export", str(folder / ckpt), "--format", format, *arguments]) == 0
    return out, folder / ckpt


@pytest.fixture(scope="module")
def exported(labels_run, points_run, tmp_path_factory):
    """Folders of both tasks with their files, written when first asked for; that of points has no torch program."""

    class Exported(dict):
        def __missing__(self, task):
            run, formats = (labels_run, FORMATS) if task == "labels" else (points_run, ["onnx"])
            self[task] = export(run, tmp_path_factory.mktemp(task), *formats)
            return self[task]

    return Exported()


@cache
def program(path):
    """Open a file without any of our code."""
    if path.suffix == ".onnx":
        session = onnxruntime.InferenceSession(path)
        return lambda images: session.run(None, {"images": images})[0]
    module = torch.export.load(path).module()
    return lambda images: module(torch.from_numpy(images)).numpy()


def answers(path, images):
    """Run a file without any of our code."""
    with torch.inference_mode():
        return program(path)(images)


def wanted(checkpoint, images):
    found = load(checkpoint, "cpu")(list(images))
    return np.stack([one.probabilities if hasattr(one, "probabilities") else one.points_px for one in found])


def noise(*shape):
    return np.random.default_rng(sum(shape)).integers(0, 256, (*shape, 3), dtype=np.uint8)


SIZES = [(1, 24, 32), (3, 24, 32), (2, 300, 200), (1, 1, 1), (1, 700, 1100), (5, 33, 57)]


@pytest.mark.parametrize(("task", "suffix"), [("labels", ".onnx"), ("labels", ".pt2"), ("points", ".onnx")])
def test_any_batch_of_any_size_says_what_the_checkpoint_says(exported, task, suffix):
    folder, checkpoint = exported[task]
    of_any_size(folder / f"m{suffix}", checkpoint, task)


@pytest.mark.slow
def test_so_does_a_torch_program_of_points(points_run, tmp_path):
    folder, checkpoint = export(points_run, tmp_path, "torch")
    of_any_size(folder / "m.pt2", checkpoint, "points")


def of_any_size(path, checkpoint, task):
    for size in SIZES:
        images = noise(*size)
        scale = 1 if task == "labels" else max(size[1:])
        assert answers(path, images) == pytest.approx(wanted(checkpoint, images), abs=1e-2 * scale)


@settings(max_examples=25)
@given(batch=st.integers(1, 3), height=st.integers(1, 200), width=st.integers(1, 200))
def test_onnx_takes_every_size(exported, batch, height, width):
    folder, checkpoint = exported["labels"]
    images = noise(batch, height, width)
    assert answers(folder / "m.onnx", images) == pytest.approx(wanted(checkpoint, images), abs=1e-2)


def test_what_is_written_may_be_read_by_whom_the_umask_lets(exported, labels_run):
    folder, checkpoint = exported["labels"]
    fresh = labels_run[0] / "fresh"
    fresh.touch()
    wanted = fresh.stat().st_mode
    written = [path for path in (*folder.iterdir(), *checkpoint.parents[1].rglob("*")) if path.is_file()]
    assert {path.name: oct(path.stat().st_mode) for path in written} == {path.name: oct(wanted) for path in written}
    assert {"m.onnx", "m.pt2", "m.safetensors", "m.json", "best.ckpt", "metrics.csv"} <= {path.name for path in written}


def test_onnx_says_what_it_is(exported):
    for task in ("labels", "points"):
        model = onnx.load(exported[task][0] / "m.onnx")
        onnx.checker.check_model(model, full_check=True)
        (given,), (output,) = model.graph.input, model.graph.output
        sizes = [size.dim_param or size.dim_value for size in given.type.tensor_type.shape.dim]
        assert (given.name, sizes) == ("images", ["batch", "height", "width", 3])
        assert given.type.tensor_type.elem_type == onnx.TensorProto.UINT8
        assert output.name == {"labels": "probabilities", "points": "points"}[task]
        described = {prop.key: prop.value for prop in model.metadata_props}
        assert described["torch"] == torch.__version__
        assert len(described["checkpoint_sha256"]) == 64
        if task == "labels":
            assert json.loads(described["vocab"]) == ["cat", "dog"]
            assert json.loads(described["thresholds"]) == [0.5, 0.5]
        else:
            assert json.loads(described["point_names"]) == ["l", "r"]
        assert json.loads(described["image_size"]) == [32, 40]


def test_a_torch_program_and_weights_say_what_they_are(exported):
    folder, checkpoint = exported["labels"]
    files = {"vocab": "", "thresholds": ""}
    torch.export.load(folder / "m.pt2", extra_files=files)
    assert json.loads(files["vocab"]) == ["cat", "dog"]
    state = read_checkpoint(checkpoint)["state_dict"]
    with safe_open(folder / "m.safetensors", "pt") as weights:
        assert set(weights.keys()) == set(state)
        assert all((weights.get_tensor(name) == tensor).all() for name, tensor in state.items())
        assert json.loads(weights.metadata()["vocab"]) == ["cat", "dog"]
    build = json.loads((folder / "m.json").read_text())
    assert build["hyper_parameters"]["backbone"] == "test_resnet"
    assert build["metadata"]["task"] == "labels"


@pytest.mark.parametrize(
    ("run", "precision"),
    [
        *(("labels_run", "float16"), ("points_run", "int8")),
        pytest.param("labels_run", "int8", marks=pytest.mark.slow),
        pytest.param("points_run", "float16", marks=pytest.mark.slow),
    ],
)
def test_lower_precisions_say_what_they_cost(run, precision, request, tmp_path, capsys):
    folder, ckpt = request.getfixturevalue(run)
    arguments = ["--precision", precision, "--output", str(tmp_path / "m.onnx"), "--data_root", str(folder / "root")]
    assert console(["export", str(folder / ckpt), *arguments]) == 0
    said = capsys.readouterr().out
    assert ("mAP" if run == "labels_run" else "median error in px") + " over 2 validation images: " in said
    model = onnx.load(tmp_path / "m.onnx")
    types = {tensor.data_type for tensor in model.graph.initializer}
    assert (onnx.TensorProto.FLOAT16 if precision == "float16" else onnx.TensorProto.INT8) in types
    images = noise(2, 40, 50)
    scale = 1 if run == "labels_run" else 50
    assert answers(tmp_path / "m.onnx", images) == pytest.approx(wanted(folder / ckpt, images), abs=0.1 * scale)
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]


def test_images_elsewhere_and_no_annotations(labels_run, tmp_path, capsys, monkeypatch):
    folder, ckpt = labels_run
    moved = tmp_path / "moved.ckpt"
    content = read_checkpoint(folder / ckpt)
    content["datamodule_hyper_parameters"]["root"] = str(tmp_path / "gone")
    torch.save(content, moved)
    assert console(["export", str(moved)]) == 2
    assert "--images" in capsys.readouterr().err
    assert not (tmp_path / "moved.onnx").exists()
    named = ["--images", str(folder / "root"), "--precision", "float16"]
    assert console(["export", str(moved), *named]) == 0
    assert "was not measured" in capsys.readouterr().out
    assert (tmp_path / "moved.float16.onnx").is_file()


WRONG = [Parity(2e-4, 0.0, 1), Parity(0.0, 0.02, 1), Parity(float("nan"), 0.0, 1), Parity(float("inf"), 0.0, 1)]


@pytest.mark.parametrize(
    ("found", "format"),
    [
        *((found, "safetensors") for found in WRONG),
        *(pytest.param(found, "onnx", marks=pytest.mark.slow) for found in WRONG),
    ],
)
def test_a_file_that_says_something_else_is_not_left(found, format, labels_run, tmp_path, capsys, monkeypatch):
    folder, ckpt = labels_run
    monkeypatch.setattr(export_module, "parity", lambda *_: found)
    arguments = ["--output", str(tmp_path / f"m.{format}"), "--data_root", str(folder / "root")]
    assert console(["export", str(folder / ckpt), "--format", format, *arguments]) == 2
    assert "does not say what the checkpoint says" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_the_check_sees_another_weight(labels_run, tmp_path, capsys, monkeypatch):
    folder, ckpt = labels_run
    write = export_module.write_onnx

    def write_another(network, *rest):
        last = network.head[-1].weight
        kept = last.detach().clone()
        with torch.no_grad():
            last[0] += 0.01
        write(network, *rest)
        with torch.no_grad():
            last.copy_(kept)

    monkeypatch.setattr(export_module, "write_onnx", write_another)
    arguments = ["--output", str(tmp_path / "m.onnx"), "--data_root", str(folder / "root")]
    assert console(["export", str(folder / ckpt), *arguments]) == 2
    assert "from the resized image on they differ by" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--format", "torch", "--precision", "int8"], "is for ONNX"),
        (["--n", "0"], "at least 1"),
        (["--output", "m.txt"], "End --output in it"),
        (["--images", "nothing*"], "no file, folder or pattern"),
        (["--output", "/dev/null/m.onnx"], "cannot be written"),
    ],
)
def test_mistakes(arguments, message, labels_run, capsys):
    folder, ckpt = labels_run
    root = [] if "--images" in arguments else ["--data_root", str(folder / "root")]
    assert console(["export", str(folder / ckpt), *arguments, *root]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert "Traceback" not in said


def test_onnx_that_is_not_installed(labels_run, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert console(["export", str(Path(labels_run[0]) / labels_run[1])]) == 2
    assert "lightning-tasks[onnx]" in capsys.readouterr().err
