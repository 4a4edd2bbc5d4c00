"""Batch normalisation folded into convolutions: the same features, or none folded."""

import copy

import pytest
import torch
from torch import nn

from lightning_tasks.models.backbone import Backbone
from lightning_tasks.probe.fold_norm import fold_batch_norm


def with_statistics(backbone):
    """As a trained one: what it normalises by is not 0 and 1."""
    torch.manual_seed(0)
    for module in backbone.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
            module.weight.data.uniform_(0.5, 2)
            module.bias.data.normal_()
    return backbone.eval()


@pytest.mark.parametrize("name", ["test_resnet", "tf_efficientnet_lite0", "resnetv2_18", "test_vit"])
def test_features_are_the_same_and_the_backbone_stays(name):
    backbone = with_statistics(Backbone(name, (64, 64)))
    before = copy.deepcopy(backbone.state_dict())
    images = torch.randint(0, 256, (3, 3, 64, 64), dtype=torch.uint8)
    folded = fold_batch_norm(backbone, (64, 64))
    with torch.no_grad():
        wanted = backbone(images)
        assert torch.allclose(folded(images), wanted, atol=1e-4 * float(wanted.std()), rtol=1e-3)
    assert all(torch.equal(before[key], value) for key, value in backbone.state_dict().items())
    left = sum(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    assert (folded is backbone) == (name == "test_vit")
    assert left < sum(isinstance(module, nn.BatchNorm2d) for module in backbone.modules()) or folded is backbone


def test_layers_that_are_listed_in_another_order_than_they_run_are_left():
    class Crossed(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 3)
            self.norm = nn.BatchNorm2d(3)

        def forward(self, images):
            return self.conv(self.norm(images.float())).mean((2, 3))

    crossed = with_statistics(Crossed())
    assert fold_batch_norm(crossed, (16, 16)) is crossed
