import numpy as np
import torch

from lightning_tasks.tasks.keypoints.dataset import KeypointBatch
from lightning_tasks.tasks.keypoints.draw import draw_batch, draw_results


def test_results_show_points_where_they_are_and_hidden_ones_not():
    nan = torch.nan
    images = [np.zeros((24, 32, 3), np.uint8)] * 2
    targets_px = torch.tensor([[[16.0, 12.0], [nan, nan]], [[nan, nan]] * 2])
    errors_px = torch.tensor([[16.0, nan], [nan, nan]])
    seen, empty = draw_results(images, targets_px, torch.full((2, 2, 2), 9.0), errors_px, [0.25, 0.5]).axes
    target, prediction = (collection.get_offsets().data.tolist() for collection in seen.collections)
    assert (target, prediction) == ([[16, 12]], [[9, 9]])
    assert (seen.get_xlabel(), empty.get_xlabel()) == ("loss 0.250\n16.0 px off", "loss 0.500\nno point")


def test_points_are_drawn_where_they_are_and_hidden_ones_not():
    images = torch.zeros(1, 3, 24, 32, dtype=torch.uint8)
    points = torch.tensor([[[-1.0, -1.0], [0.5, 0.0]]])
    batch = KeypointBatch(
        images,
        points,
        torch.tensor([[False, True]]),
        torch.ones(1, 2),
        torch.zeros(1),
    )
    untouched, place = np.zeros((48, 64, 3), np.uint8), torch.tensor([[7.0, 9.0]])
    beside, (seen,) = draw_batch(batch, [untouched], [place]).axes[0], draw_batch(batch).axes
    assert seen.collections[0].get_offsets().tolist() == [[24, 12]]
    assert seen.get_title() == "1 not visible"
    assert beside.collections[0].get_offsets().tolist() == [[7, 9]]
