"""A network as an ONNX file, in float32, float16 or int8."""

import contextlib
import copy
import io
import logging
from collections.abc import Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from lightning_tasks.deploy.exports.torch_files import Run, program
from lightning_tasks.errors import ConfigError, MissingLibraryError, what_is_wrong

Precision = Literal["float32", "float16", "int8"]

_OPSET = 20


def require_onnx() -> None:
    """Raise MissingLibraryError where one of the libraries is not installed."""
    try:
        for library in ("onnx", "onnxruntime", "onnxscript"):
            import_module(library)
    except ImportError as error:
        raise MissingLibraryError(f"ONNX needs {error.name}: pip install 'lightning-tasks[onnx]'") from error


def write_onnx(network: nn.Module, path: Path, metadata: dict[str, str], output: str) -> None:
    """Write the network: `images` (B, H, W, 3) uint8 in, `output` out; ConfigError where it cannot be translated."""
    import onnx

    traced = program(network)
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # it would print its progress
            exported = torch.onnx.export(
                traced, dynamo=True, opset_version=_OPSET, external_data=False, input_names=["images"],
                output_names=[output], dynamic_shapes=None, verbose=False,
            )  # fmt: skip
    except Exception as error:  # the exporter's own kinds are not public
        raise ConfigError(
            f"This backbone cannot be exported to ONNX: an operator is not supported ({what_is_wrong(error)}). "
            "--format torch or safetensors write it all the same."
        ) from error
    assert exported is not None
    exported.save(path, external_data=False)
    model = onnx.load(path)
    sizes = model.graph.input[0].type.tensor_type.shape.dim
    for size, name in zip(sizes, ("batch", "height", "width"), strict=False):
        size.dim_param = name  # the exporter calls them s34, s90 and s14
    model.graph.output[0].type.tensor_type.shape.dim[0].dim_param = "batch"
    onnx.helper.set_model_props(model, {**metadata, "onnx": onnx.__version__})
    onnx.save(model, path)


def halve(network: nn.Module) -> nn.Module:
    """Return a copy of the network with backbone and head in float16: pixels and positions need more."""
    copied = copy.deepcopy(network)
    for name in ("backbone.body", "head"):
        copied.get_submodule(name).half()
    return copied


def quantise(path: Path, target: Path, images: Sequence[NDArray[np.uint8]]) -> None:
    """Write a float32 file again with convolutions in int8, weights and activations.

    The first one and depthwise ones stay in float32: they are few of the weights and most of the loss. Of PASCAL's mAP
    .624 (lite0, 600 images) all in int8 leave .55, without the first .61, without depthwise ones either .62.
    The ranges of the activations are read off the images, (1, H, W, 3) each.

    Raises:
        ConfigError: there is nothing to be quantised.
    """
    import onnx
    from onnxruntime.quantization import CalibrationMethod, QuantType, quantize_static

    graph = onnx.load(path).graph
    grouped = {node.name for node in graph.node for given in node.attribute if given.name == "group" and given.i > 1}
    convolutions = [node.name for node in graph.node if node.op_type == "Conv"]
    chosen = [name for name in convolutions[1:] if name not in grouped]
    if not chosen:  # onnxruntime would take an empty list for all nodes of the graph
        raise ConfigError(
            "int8 is for convolutions other than the first and depthwise ones, and this backbone has none of these. "
            "--precision float16 halves the file."
        )
    logging.disable(logging.WARNING)  # its advice is to change a graph that is as it should be
    try:
        quantize_static(
            path,
            target,
            SimpleNamespace(get_next=partial(next, ({"images": image} for image in images), None)),
            nodes_to_quantize=chosen,
            per_channel=True,
            reduce_range=True,  # processors without VNNI would overflow
            weight_type=QuantType.QInt8,
            activation_type=QuantType.QUInt8,
            calibrate_method=CalibrationMethod.MinMax,
        )
    finally:
        logging.disable(logging.NOTSET)


def open_onnx(path: Path) -> Run:
    """Return a function that runs the file on the CPU."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

    def run(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.asarray(session.run(None, {"images": images})[0])

    return run
