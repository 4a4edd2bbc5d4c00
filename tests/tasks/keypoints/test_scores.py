import numpy as np
import pytest
import torch

from lightning_tasks.tasks.keypoints.scores import (
    NormalisedMeanError,
    PixelErrorQuantiles,
    masked_mse,
    original_points_px,
    pixel_errors,
    point_losses,
    point_scores,
    scores_by_group,
    scores_by_point,
)


def test_errors_are_in_the_original_images_pixels():
    predicted = torch.tensor([[[0.0, 0.0]], [[0.5, 0.5]]])
    target = torch.tensor([[[0.1, 0.0]], [[0.5, 0.0]]])
    size = torch.tensor([[640.0, 480.0], [100.0, 200.0]])
    errors = pixel_errors(predicted, target, torch.ones(2, 1).bool(), size)
    assert errors.tolist() == pytest.approx([0.1 * 320, 0.5 * 100])


def test_an_mse_of_biwi_is_its_known_pixel_error():
    # 8.4e-5 on the −1..1 scale is 3.7 px root mean square at 640×480, with equal errors in x and y.
    offset = torch.full((1, 1, 2), 8.4e-5**0.5)
    zero, seen = torch.zeros(1, 1, 2), torch.ones(1, 1).bool()
    assert masked_mse(offset, zero, seen).item() == pytest.approx(8.4e-5)
    assert pixel_errors(offset, zero, seen, torch.tensor([[640.0, 480.0]])).item() == pytest.approx(3.7, abs=0.05)


def test_hidden_points_do_not_count():
    predicted = torch.tensor([[[0.0, 0.0], [1.0, 1.0]]])
    visible = torch.tensor([[True, False]])
    assert masked_mse(predicted, torch.zeros(1, 2, 2), visible).item() == 0
    assert len(pixel_errors(predicted, torch.zeros(1, 2, 2), visible, torch.ones(1, 2))) == 1


def test_quantiles_over_batches_are_numpys():
    errors = np.random.default_rng(0).exponential(size=101).astype(np.float32)
    metric = PixelErrorQuantiles()
    for part in np.split(errors, [1, 50]):
        metric.update(*scored(part.tolist()))
    hidden = scored([7.0, 1000.0])
    metric.update(*hidden[:2], torch.zeros(2, 1, dtype=torch.bool), hidden[3])
    values = {name: value.item() for name, value in metric.compute().items()}
    assert values == {
        "median_px": pytest.approx(np.quantile(errors, 0.5), rel=1e-5),
        "p95_px": pytest.approx(np.quantile(errors, 0.95), rel=1e-5),
    }
    metric.reset()
    metric.update(*hidden[:2], torch.zeros(2, 1, dtype=torch.bool), hidden[3])
    assert metric.compute()["median_px"].isnan()
    lost = scored([float("nan"), 1.0])
    metric.update(*lost)
    assert metric.compute()["median_px"].isnan()  # a prediction that is NaN is not taken for a hidden point


def test_the_normalised_mean_error_is_a_share_of_the_distance_between_two_points():
    # Eyes 40 pixels apart in an image 200 wide, and three errors: 4, 0 and 8 pixels.
    target = torch.tensor([[[-0.2, 0.0], [0.2, 0.0], [0.0, 0.5]]])
    predicted = target + torch.tensor([[[0.04, 0.0], [0.0, 0.0], [0.0, 0.16]]])
    size, seen = torch.tensor([[200.0, 100.0]]), torch.ones(1, 3).bool()
    metric = NormalisedMeanError(0, 1)
    metric.update(predicted, target, ~seen, size)
    assert metric.compute().isnan()
    metric.update(predicted, target, seen, size)
    assert metric.compute().item() == pytest.approx((4 + 0 + 8) / 3 / 40)
    metric.update(predicted * 3, target, torch.tensor([[True, False, True]]), size)  # an eye is missing
    metric.update(predicted, torch.zeros(1, 3, 2), seen, size)  # both eyes in one place
    assert metric.compute().item() == pytest.approx((4 + 0 + 8) / 3 / 40)
    metric.update(predicted, target, torch.tensor([[True, True, False]]), size * 7)  # a larger image counts alike
    assert metric.compute().item() == pytest.approx((12 + 4) / 5 / 40)


def test_shapes_that_would_broadcast_are_refused():
    with pytest.raises(ValueError, match=r"\(4, 2\).*\(4, 1, 2\)"):
        masked_mse(torch.zeros(4, 2), torch.zeros(4, 1, 2), torch.ones(4, 1).bool())
    with pytest.raises(ValueError, match="do not belong together"):
        pixel_errors(torch.zeros(4, 1, 2), torch.zeros(4, 1, 2), torch.ones(4).bool(), torch.ones(4, 2))


def scored(errors_px, size=(640, 480)):
    """One point an image, that many pixels to the right of where it should be."""
    target = torch.zeros(len(errors_px), 1, 2)
    predicted = target.clone()
    predicted[:, 0, 0] = torch.tensor(errors_px) * 2 / size[0]
    return predicted, target, torch.ones(len(errors_px), 1, dtype=torch.bool), torch.tensor([size] * len(errors_px))


def test_worked_scores():
    errors = [1.0, 4.0, 6.0, 9.0, 30.0]
    scores = point_scores(*scored(errors))
    assert scores.points == 5
    assert scores.mean_px == pytest.approx(10)
    assert scores.median_px == pytest.approx(6, rel=1e-5)
    assert scores.p95_px == pytest.approx(np.quantile(errors, 0.95), rel=1e-5)
    assert (scores.pck_5px, scores.pck_10px) == (0.4, 0.8)
    assert scores.mse_norm == pytest.approx(np.mean(np.square(np.array(errors) / 320)) / 2, rel=1e-5)


def test_scores_by_group_and_by_point():
    predicted, target, visible, size = scored([1.0, 3.0, 20.0])
    by_person = scores_by_group(["ann", "bob", "ann"], predicted, target, visible, size)
    assert list(by_person) == ["ann", "bob"]
    assert by_person["ann"].mean_px == pytest.approx(10.5)
    assert by_person["bob"].mean_px == pytest.approx(3)
    two = [torch.cat([part, part], 1) for part in (predicted, target, visible)]
    two[0][:, 1] = 0  # the second point is right
    two[2][0, 1] = False
    by_point = scores_by_point(["nose", "chin"], *two, size)
    assert by_point["nose"] == point_scores(predicted, target, visible, size)
    assert (by_point["chin"].points, by_point["chin"].mean_px) == (2, 0)


def test_scores_of_nothing_are_nan():
    predicted, target, visible, size = scored([1.0])
    scores = point_scores(predicted, target, ~visible, size)
    assert scores.points == 0
    assert np.isnan([scores.mse_norm, scores.median_px, scores.pck_5px]).all()


def test_points_come_back_to_the_original_pixels():
    # The centre of the last pixel of 4 is that of the last two of 8: between 6 and 7.
    norm = torch.tensor([[[2 * 3 / 4 - 1, 2 * 0 / 4 - 1]]])
    assert original_points_px(norm, (4, 4), torch.tensor([[8.0, 8.0]])).tolist() == [[[6.5, 0.5]]]
    assert original_points_px(norm, (4, 4), torch.tensor([[4.0, 4.0]])).tolist() == [[[3.0, 0.0]]]


def test_an_images_loss_is_that_of_its_visible_points():
    predicted, target = torch.tensor([[[0.0, 0.0], [0.5, 0.5]]] * 3), torch.tensor([[[0.1, 0.3], [0.5, 0.0]]] * 3)
    visible = torch.tensor([[True, True], [True, False], [False, False]])
    losses = point_losses(predicted, target, visible)
    assert losses[:2].tolist() == pytest.approx([(0.01 + 0.09 + 0.25) / 4, (0.01 + 0.09) / 2])
    assert losses[2].isnan()
    with pytest.raises(ValueError, match="do not belong together"):
        point_losses(predicted[:, 0], target, visible)
