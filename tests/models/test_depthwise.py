import copy
from functools import partial

import pytest
import torch
from torch import nn

from lightning_tasks import MultiLabelClassifier
from lightning_tasks.models.backbone import Backbone, float32_depthwise


def net(kernel=5, stride=1, groups=8):
    torch.manual_seed(0)
    body = nn.Sequential(nn.Conv2d(8, 8, kernel, stride, kernel // 2, groups=groups), nn.ReLU())
    float32_depthwise(body)
    return body


def dtypes_within(body, *, train=True):
    """The types that the convolution's weight gradient was computed from."""
    seen = []
    original = torch.nn.functional.conv2d

    def spy(images, *rest):
        seen.append((images.dtype, torch.is_autocast_enabled("cpu")))
        return original(images, *rest)

    images = torch.randn(2, 8, 12, 12)
    with pytest.MonkeyPatch.context() as patch, torch.autocast("cpu", torch.bfloat16), torch.set_grad_enabled(train):
        patch.setattr(torch.nn.functional, "conv2d", spy)
        out = body(images.bfloat16())
    return seen[0], out.dtype


@pytest.mark.parametrize(
    ("kernel", "stride", "groups", "slow"),
    [(5, 1, 8, True), (3, 2, 8, True), (7, 1, 8, True), (3, 1, 8, False), (5, 1, 1, False), (3, 2, 4, False)],
)
def test_slow_depthwise_convolutions_alone_train_in_float32(kernel, stride, groups, slow):
    (dtype, autocast), out = dtypes_within(net(kernel, stride, groups))
    assert (dtype, autocast) == ((torch.float32, False) if slow else (torch.bfloat16, True))
    assert out == torch.bfloat16


def test_inference_and_frozen_layers_stay_in_bfloat16():
    assert dtypes_within(net(), train=False)[0] == (torch.bfloat16, True)
    frozen = net().requires_grad_(False)
    assert dtypes_within(frozen)[0] == (torch.bfloat16, True)


def test_values_gradients_names_and_copies_are_what_they_were():
    body, plain = Backbone("tf_efficientnet_lite0", (64, 64)), Backbone("tf_efficientnet_lite0", (64, 64))
    plain.load_state_dict(body.state_dict())
    for module in plain.modules():
        module.__dict__.pop("forward", None)
    images = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    for one in (body, plain):
        one(images).sum().backward()  # float32 throughout: not touched
    for (name, a), b in zip(body.named_parameters(), plain.parameters(), strict=True):
        assert torch.equal(a.grad, b.grad), name
    twin = copy.deepcopy(body)  # as weight averaging makes one
    twin.body.conv_stem.weight.data.zero_()
    slow = [m for m in twin.modules() if "forward" in m.__dict__]
    assert len(slow) == 11  # of 16: five are 3×3 of stride 1
    assert all(module.forward.__self__ is module for module in slow)


@pytest.mark.parametrize("backend", ["eager", pytest.param("inductor", marks=pytest.mark.slow)])
def test_a_compiled_model_trains_and_keeps_its_weights_names(backend, monkeypatch):
    """With the tracing alone, and with the kernels that it is for."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=backend))
    torch.manual_seed(0)
    model = MultiLabelClassifier(["a", "b"], "test_resnet", image_size=(32, 32), compile=True).eval()
    plain = MultiLabelClassifier(["a", "b"], "test_resnet", image_size=(32, 32)).eval()
    plain.load_state_dict(model.state_dict())
    images = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    torch.testing.assert_close(model(images), plain(images), rtol=1e-4, atol=1e-5)
    assert "compile" not in model.hparams
