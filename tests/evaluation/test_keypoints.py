import numpy as np
import pytest
import torch

from lightning_tasks.evaluation.keypoints import PixelErrorQuantiles, masked_mse, pixel_errors


def test_errors_are_in_the_original_pictures_pixels():
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
        metric.update(torch.from_numpy(part))
    metric.update(torch.empty(0))
    values = {name: value.item() for name, value in metric.compute().items()}
    assert values == {
        "median_px": pytest.approx(np.quantile(errors, 0.5), rel=1e-6),
        "p95_px": pytest.approx(np.quantile(errors, 0.95), rel=1e-6),
    }
    metric.reset()
    metric.update(torch.empty(0))
    assert metric.compute()["median_px"].isnan()


def test_shapes_that_would_broadcast_are_refused():
    with pytest.raises(ValueError, match=r"\(4, 2\).*\(4, 1, 2\)"):
        masked_mse(torch.zeros(4, 2), torch.zeros(4, 1, 2), torch.ones(4, 1).bool())
    with pytest.raises(ValueError, match="do not belong together"):
        pixel_errors(torch.zeros(4, 1, 2), torch.zeros(4, 1, 2), torch.ones(4).bool(), torch.ones(4, 2))
