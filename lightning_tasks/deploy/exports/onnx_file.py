"""A network as an ONNX file, in float32, float16 or int8."""

import contextlib
import copy
import io
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from lightning_tasks.deploy.exports.program import program
from lightning_tasks.deploy.exports.run import Run
from lightning_tasks.errors import ConfigError, MissingLibraryError, what_is_wrong

Precision = Literal["float32", "float16", "int8"]

_OPSET = 20


def require_onnx() -> None:
    """Raise MissingLibraryError where one of the libraries is not installed."""
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise MissingLibraryError(f"ONNX needs {error.name}: pip install 'lightning-tasks[onnx]'") from error


def write_onnx(network: nn.Module, path: Path, metadata: dict[str, str], output: str) -> None:
    """Write the network, with `images` (B, H, W, 3) uint8 as input and one output of the name `output`.

    Raises:
        ConfigError: the backbone does what cannot be traced, or an operator is not supported.
    """
    import onnx

    traced = program(network)
    try:
        with _quiet():
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

    Args:
        path: of the float32 file.
        target: of the new one.
        images: (1, H, W, 3), what the ranges of the activations are read off.

    Raises:
        ConfigError: there is nothing to be quantised.
    """
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantType, quantize_static

    class Reader(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime ships no types
        def __init__(self) -> None:
            self._left = iter(images)

        def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
            image = next(self._left, None)
            return None if image is None else {"images": image}

    convolutions = [node for node in onnx.load(path).graph.node if node.op_type == "Conv"]
    chosen = [node.name for node in convolutions[1:] if not _is_grouped(node)]
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
            Reader(),
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


def _is_grouped(convolution: Any) -> bool:  # noqa: ANN401 - a node of onnx
    return any(attribute.name == "group" and attribute.i > 1 for attribute in convolution.attribute)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's progress to itself."""
    with contextlib.redirect_stdout(io.StringIO()):
        yield
