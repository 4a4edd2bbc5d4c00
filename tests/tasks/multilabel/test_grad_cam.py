import sys

import pytest
import torch
from timm.layers.adaptive_avgmax_pool import SelectAdaptivePool2d
from torch import nn

from lightning_tasks import KeypointRegressor, MultiLabelClassifier
from lightning_tasks.errors import ConfigError, MissingLibraryError
from lightning_tasks.tasks.multilabel.grad_cam import GradCam
from lightning_tasks.tasks.registry import task_of


class Colours(nn.Module):
    """How much red, green and blue there is: the whole network, whose answer anybody can see."""

    def __init__(self):
        super().__init__()
        self.maps = nn.Conv2d(3, 3, 4, 4, bias=False)
        self.maps.weight.data = torch.eye(3)[:, :, None, None].expand(3, 3, 4, 4) / 16
        self.act = nn.ReLU(inplace=True)
        self.global_pool = SelectAdaptivePool2d(pool_type="avg", flatten=True)

    def forward(self, images):
        return self.global_pool(self.act(self.maps(images)))


def colours():
    model = MultiLabelClassifier(["red", "green", "blue"], "test_resnet", image_size=(32, 48))
    model.backbone.body = Colours()
    model.head = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Dropout())
    model.head[0].weight.data = torch.eye(3)
    model.backbone.mean.zero_()
    model.backbone.std.fill_(255)
    return model


def red_top_left_blue_bottom_right():
    image = torch.zeros(1, 3, 32, 48, dtype=torch.uint8)
    image[:, 0, :16, :24] = 255
    image[:, 2, 16:, 24:] = 255
    return image


@pytest.mark.parametrize(("label", "quadrant"), [("red", (0, 0)), ("blue", (1, 1))])
def test_the_heat_is_where_the_label_comes_from(label, quadrant):
    (heat,) = GradCam(colours(), label)(red_top_left_blue_bottom_right())
    assert heat.shape == (32, 48)
    in_quadrants = heat.view(2, 16, 2, 24).mean((1, 3))
    assert divmod(int(in_quadrants.argmax()), 2) == quadrant
    assert in_quadrants[quadrant] > 0.9 * in_quadrants.sum() > 0
    assert heat.min() >= 0


def test_the_model_is_left_as_it_was():
    model = MultiLabelClassifier(["cat", "dog"], "test_resnet", image_size=(32, 32))
    model.head[0].eval()
    for parameter in model.backbone.parameters():
        parameter.requires_grad_(False)
    kept = torch.ones_like(model.head[2].weight)
    model.head[2].weight.grad = kept
    before = {name: value.clone() for name, value in model.state_dict().items()}
    heat = GradCam(model, "dog")(torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8))
    assert heat.shape == (2, 32, 32)
    assert not heat.requires_grad
    assert (model.training, model.head[0].training, model.head[1].training) == (True, False, True)
    assert not any(parameter.requires_grad for parameter in model.backbone.parameters())
    assert model.head[2].weight.grad is kept
    assert kept.eq(1).all()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


@pytest.mark.parametrize("backbone", ["test_resnet", "test_efficientnet", "test_convnext", "densenet121"])
def test_any_convolutional_backbone_will_do(backbone):
    model = MultiLabelClassifier(["cat", "dog"], backbone, image_size=(64, 64))
    heat = GradCam(model, "cat")(torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8))
    assert heat.isfinite().all()


@pytest.mark.parametrize(("backbone", "size"), [("test_vit", 160), ("swin_tiny_patch4_window7_224", 224)])
def test_without_such_a_map_it_says_so(backbone, size):
    model = MultiLabelClassifier(["cat", "dog"], backbone, image_size=(size, size))
    with pytest.raises(ConfigError, match=f"{backbone}' has none. Train with a convolutional one"):
        GradCam(model, "cat")


def test_mistakes_are_told(monkeypatch):
    with pytest.raises(ConfigError, match=r"no label 'rad' .* Did you mean red\?"):
        GradCam(colours(), "rad")
    with pytest.raises(ConfigError, match=r"no label 'xyz' .* Did you mean red, green, blue\?"):
        GradCam(colours(), "xyz")
    points = KeypointRegressor(["nose"], "test_resnet", image_size=(32, 32))
    with pytest.raises(ConfigError, match="this is a KeypointRegressor"):
        task_of(points).grad_cam(points, "nose")
    monkeypatch.setitem(sys.modules, "captum.attr", None)
    with pytest.raises(MissingLibraryError, match=r"pip install 'lightning-tasks\[explain\]'"):
        GradCam(colours(), "red")
