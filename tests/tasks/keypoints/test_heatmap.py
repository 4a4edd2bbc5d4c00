"""Points by heatmaps."""

import numpy as np
import pytest
import timm
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from lightning_tasks import KeypointRegressor
from lightning_tasks.data.images.opencv import cv2
from lightning_tasks.errors import BackboneError, CheckpointError, ConfigError
from lightning_tasks.tasks.keypoints.dataset import KeypointBatch
from lightning_tasks.tasks.keypoints.heads import FeatureMaps, HeatmapHead, masked_cell_loss, soft_argmax
from lightning_tasks.tasks.keypoints.scores import masked_mse


def to_px(points_norm, width, height):
    return (points_norm + 1) * torch.tensor([width, height]) / 2


def images(n, height, width):
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (n, 3, height, width), dtype=torch.uint8, generator=generator)


@given(x=st.integers(0, 4), y=st.integers(0, 2))
def test_a_map_of_one_cell_is_that_cells_centre(x, y):
    logits = torch.zeros(1, 1, 3, 5)
    logits[..., y, x] = 100
    found = to_px(soft_argmax(logits, (24, 40)), 40, 24)[0, 0].tolist()
    pixels = np.arange(8)  # the eight that the cell covers, of which the first image's centre is 0
    assert found == pytest.approx([(8 * x + pixels).mean(), (8 * y + pixels).mean()], abs=1e-4)


def test_shares_between_cells_lie_between_them():
    # A share of ¾ and one of ¼, a cell apart, in an image that the cells do not fill.
    logits = torch.full((1, 2, 2, 3), -100.0)
    logits[0, 0, 1, 1], logits[0, 0, 1, 2] = np.log(3), 0
    logits[0, 1] = 0  # nothing is likelier than the rest: the middle of the cells
    first, second = to_px(soft_argmax(logits, (13, 21)), 21, 13)[0].tolist()
    assert first == pytest.approx([11.5 + 8 / 4, 11.5], abs=1e-4)
    assert second == pytest.approx([11.5, 7.5], abs=1e-4)


@given(seed=st.integers(0, 1000))
def test_a_mirrored_map_is_the_mirrored_point(seed):
    logits = torch.randn(2, 3, 4, 6, generator=torch.Generator().manual_seed(seed)) * 5
    plain, mirrored = (to_px(soft_argmax(each, (32, 48)), 48, 32) for each in (logits, logits.flip(3)))
    torch.testing.assert_close(mirrored, torch.stack([47 - plain[..., 0], plain[..., 1]], -1), atol=1e-4, rtol=1e-4)


def test_positions_are_float32_whatever_the_maps_are():
    logits = torch.randn(1, 1, 30, 40) * 3
    for low in (torch.bfloat16, torch.float16):
        found = soft_argmax(logits.to(low), (240, 320))
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, soft_argmax(logits.to(low).float(), (240, 320)))


@pytest.mark.parametrize("name", ["test_resnet", "test_efficientnet", "test_convnext", "mobilenetv3_small_050"])
def test_any_convolutional_family_gives_maps_of_8_and_16_pixels(name):
    maps = FeatureMaps(name, (64, 96)).eval()
    found = maps(images(2, 64, 96))
    assert [each.shape[1:] for each in found] == [(maps.channels[0], 8, 12), (maps.channels[1], 4, 6)]
    logits = HeatmapHead(maps.channels, 5)(found)
    assert logits.shape == (2, 5, 8, 12)
    logits.sum().backward()
    early, late = maps.parameter_halves()
    assert early
    assert late
    assert {id(p) for p in (*early, *late)} == {id(p) for p in maps.parameters()}
    assert all(parameter.grad is not None for parameter in maps.parameters())  # DDP waits for all of them


@pytest.mark.parametrize(("max_stride", "strides"), [(8, [8]), (16, [8, 16]), (32, [8, 16, 32])])
def test_the_coarsest_map_can_be_chosen(max_stride, strides):
    model = KeypointRegressor(["p", "q"], "test_resnet", image_size=(64, 96), head="heatmap", max_stride=max_stride)
    found = model.backbone(images(2, 64, 96))
    assert [each.shape[2:] for each in found] == [(64 // stride, 96 // stride) for stride in strides]
    assert model(images(2, 64, 96)).shape == (2, 2, 2)
    assert model.hparams["max_stride"] == max_stride


def test_maps_are_timms_own_by_the_weights_of_a_file(tmp_path):
    torch.manual_seed(1)
    save_file(timm.create_model("test_efficientnet").state_dict(), tmp_path / "w.safetensors")
    maps = FeatureMaps("test_efficientnet", (64, 64), weights=str(tmp_path / "w.safetensors")).eval()
    oracle = timm.create_model("test_efficientnet", features_only=True, out_indices=maps.indices).eval()
    oracle.load_state_dict(timm.models.load_state_dict(str(tmp_path / "w.safetensors")), strict=False)
    batch = images(2, 64, 64)
    for found, wanted in zip(maps(batch), oracle((batch - maps.mean) / maps.std), strict=True):
        torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)


def test_maps_are_traced_whole_for_torch_compile():
    maps = FeatureMaps("test_resnet", (32, 40)).eval()
    batch = images(2, 32, 40)
    wanted = maps(batch)
    maps.compile(backend="eager", fullgraph=True)  # the tracing alone: kernels are torch's affair
    for found, plain in zip(maps(batch), wanted, strict=True):
        torch.testing.assert_close(found, plain)


def test_a_backbone_without_such_a_map_is_refused():
    with pytest.raises(BackboneError, match=r"stride of 8 pixels; 'test_vit' has 16\..*--model.head regression"):
        KeypointRegressor(["p"], "test_vit", image_size=(160, 160), head="heatmap")


def test_the_loss_is_smooth_l1_in_cells():
    target = torch.zeros(1, 3, 2)
    predicted = torch.tensor([[[8 / 40, 0.0], [0.0, 32 / 24], [1.0, 1.0]]])  # half a cell; two cells; hidden
    seen = torch.tensor([[True, True, False]])
    predicted.requires_grad_()
    loss = masked_cell_loss(predicted, target, seen, (24, 40))
    assert loss.item() == pytest.approx((0.5**2 / 2 + (2 - 0.5)) / 2)
    loss.backward()
    assert (predicted.grad[0, 2] == 0).all()
    assert (predicted.grad[0, :2] != 0).sum() == 2
    nothing = masked_cell_loss(predicted, target, torch.zeros(1, 3).bool(), (24, 40))
    assert nothing.item() == 0


def test_hidden_points_teach_nothing():
    torch.manual_seed(0)
    model = KeypointRegressor(["a", "b"], "test_resnet", image_size=(32, 40), head="heatmap")
    seen = torch.tensor([[True, False], [True, False]])
    batch = KeypointBatch(images(2, 32, 40), torch.zeros(2, 2, 2), seen, torch.ones(2, 2), torch.arange(2))
    model._shared_step(batch)[0].backward()
    weights = model.head.maps.weight.grad
    assert (weights[0] != 0).any()
    assert (weights[1] == 0).all()


def drawn(n, seed):
    """Return a batch of discs of several sizes on noise, 48×64 pixels of images of twice that."""
    rng = np.random.default_rng(seed)
    images, points = [], []
    for _ in range(n):
        image = rng.integers(0, 90, (48, 64, 3), dtype=np.uint8)
        centre = rng.uniform([8, 8], [56, 40])
        scaled = tuple(round(value * 16) for value in centre)
        cv2.circle(image, scaled, int(rng.uniform(4, 8) * 16), (250, 180, 120), -1, cv2.LINE_AA, shift=4)
        images.append(image)
        points.append(centre)
    norm = torch.from_numpy(np.stack(points)).float()[:, None] * 2 / torch.tensor([64, 48]) - 1
    size = torch.full((n, 2), 1.0) * torch.tensor([128, 96])
    stacked = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)
    return KeypointBatch(stacked, norm, torch.ones(n, 1).bool(), size, torch.arange(n))


def test_drawn_discs_are_found_to_a_pixel_or_two():
    torch.manual_seed(0)
    model = KeypointRegressor(["p"], "test_resnet", image_size=(48, 64), head="heatmap", lr=1e-2, lr_mult=1)
    optimizer = model.configure_optimizers()
    for step in range(60):
        optimizer.zero_grad()
        model._shared_step(drawn(16, step))[0].backward()
        optimizer.step()
    unseen = drawn(64, 1000)
    model.eval()
    with torch.no_grad():
        points = model(unseen.images)
    errors_px = ((points - unseen.points_norm) * unseen.original_size_px[:, None] / 2).norm(dim=-1)
    assert errors_px.median() < 4  # of 128×96: two of the pixels that the model sees, a quarter of a cell


def test_the_logged_loss_has_one_meaning_for_both_heads():
    torch.manual_seed(0)
    model = KeypointRegressor(["p"], "test_resnet", image_size=(48, 64), head="heatmap").eval()
    batch = drawn(4, 0)
    model.log = lambda *_, **__: None
    with torch.no_grad():
        points = model._evaluate(batch, "val")
    assert model.losses["val"].compute().item() == pytest.approx(
        masked_mse(points, batch.points_norm, batch.visible).item()
    )


def test_a_checkpoint_of_the_other_head_is_refused():
    model = KeypointRegressor(["p"], "test_resnet", image_size=(32, 32), head="heatmap")
    model.on_load_checkpoint({"hyper_parameters": {"point_names": ["p"], "head": "heatmap"}})
    with pytest.raises(CheckpointError, match=r"--model.head regression"):  # of a version before there were two
        model.on_load_checkpoint({"hyper_parameters": {"point_names": ["p"]}})


def test_a_checkpoint_of_other_maps_is_refused():
    model = KeypointRegressor(["p"], "test_resnet", image_size=(32, 32), head="heatmap", max_stride=32)
    theirs = {"point_names": ["p"], "head": "heatmap"}
    model.on_load_checkpoint({"hyper_parameters": {**theirs, "max_stride": 32}})
    with pytest.raises(CheckpointError, match=r"--model.max_stride 16"):  # of a version that had no others
        model.on_load_checkpoint({"hyper_parameters": theirs})


def test_a_point_to_normalise_by_that_is_not_there():
    with pytest.raises(ConfigError, match="'eye'; the data has p, q"):
        KeypointRegressor(["p", "q"], "test_resnet", image_size=(32, 32), normalize_by=("p", "eye"))
