"""Points of mirrored images, averaged."""

import pytest
import torch
from pytorch_lightning import Trainer
from torch import nn

from lightning_tasks import KeypointDataModule, KeypointRegressor
from lightning_tasks.errors import ConfigError
from lightning_tasks.tasks.keypoints.dataset import KeypointBatch
from lightning_tasks.tasks.keypoints.regressor import mirrored_order, unmirrored
from tests.fakes import POINTS, write_points


def test_pairs_change_places_and_the_rest_stays():
    assert mirrored_order(["l", "nose", "r"], [["r", "l"]]) == (2, 1, 0)
    assert mirrored_order(["p"], None) == (0,)
    assert mirrored_order(["p", "q"], []) is None


def test_a_point_of_a_mirrored_image_is_where_the_pixel_was():
    # A bright pixel in column 2 of 10 stands in column 7 when mirrored; a position is 2·column/width − 1.
    at = torch.tensor([[[2 * 7 / 10 - 1, 0.5], [0.25, -0.5]]])
    found = unmirrored(at, (1, 0), 10)
    assert found[0, 1].tolist() == pytest.approx([2 * 2 / 10 - 1, 0.5])
    assert found[0, 0, 1] == -0.5


@pytest.mark.parametrize("head", ["regression", "heatmap"])
def test_with_the_mirrored_image_the_side_does_not_matter(head):
    torch.manual_seed(0)
    model = KeypointRegressor(["l", "r"], "test_resnet", image_size=(32, 48), head=head, flip_tta=True).eval()
    model.mirrored = (1, 0)
    for parameter in model.head.parameters():
        nn.init.normal_(parameter, std=0.1)
    images = torch.randint(0, 256, (3, 3, 32, 48), dtype=torch.uint8)
    batch, mirrored = (
        KeypointBatch(x, torch.zeros(3, 2, 2), torch.ones(3, 2).bool(), torch.ones(3, 2), torch.arange(3))
        for x in (images, images.flip(3))
    )
    with torch.no_grad():
        found = model.predict_step(batch)
        torch.testing.assert_close(found, unmirrored(model.predict_step(mirrored), (1, 0), 48))
        other = unmirrored(model(images.flip(3)), (1, 0), 48)
        torch.testing.assert_close(found, (model(images) + other) / 2)
        model.flip_tta = False
        assert not torch.equal(found, model.predict_step(batch))
    assert "flip_tta" not in model.hparams


def test_the_data_says_which_points_change_places(tmp_path):
    write_points(tmp_path, POINTS)
    data = KeypointDataModule(str(tmp_path), size=(32, 40), num_workers=0)
    quiet = Trainer(logger=False, enable_progress_bar=False, enable_model_summary=False, accelerator="cpu")
    model = KeypointRegressor(data.point_names, "test_resnet", image_size=(32, 40), flip_tta=True)
    with pytest.raises(ConfigError, match=r"Name them in data\.swap_pairs"):
        quiet.validate(model, data, verbose=False)
    data.swap_pairs = [tuple(data.point_names[:2])]
    quiet.validate(model, data, verbose=False)
    assert model.mirrored[:2] == (1, 0)
    data.swap_pairs = [(data.point_names[0], "ear")]
    with pytest.raises(ConfigError, match="names the point 'ear'"):
        quiet.validate(model, data, verbose=False)
