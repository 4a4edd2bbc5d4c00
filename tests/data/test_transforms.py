import albumentations as A
import cv2
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from lightning_tasks.data.transforms.compose import (
    augment_image,
    augment_points,
    compose_points,
    scale_points,
)
from lightning_tasks.data.transforms.geometry import (
    JointWarp,
    LogitLighting,
    crop_train,
    crop_valid,
    geometry_and_lighting,
    resize_only,
)
from lightning_tasks.errors import ConfigError

sides = st.integers(48, 320)
sizes = st.tuples(sides, sides)


def image_with_dot(size, centre, radii):
    """A black image with a white Gaussian dot at the pixel `centre` (x, y), as wide as `radii` in x and y."""
    rows, columns = np.mgrid[: size[0], : size[1]]
    dot = 255 * np.exp(-(((columns - centre[0]) / radii[0]) ** 2 + ((rows - centre[1]) / radii[1]) ** 2) / 2)
    return np.repeat(np.round(dot)[..., None], 3, axis=-1).astype(np.uint8)


def centre_of_light(image, near, reach):
    """The centre of the light within `reach` of `near`: reflecting borders can show the dot a second time."""
    light = image[..., 0].astype(float)
    rows, columns = np.mgrid[: light.shape[0], : light.shape[1]]
    light *= (np.abs(columns - near[0]) <= reach[0]) & (np.abs(rows - near[1]) <= reach[1])
    return np.array([(columns * light).sum(), (rows * light).sum()]) / light.sum()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(sizes, sizes, st.floats(0.1, 0.9), st.floats(0.1, 0.9), st.integers(0, 2**31), st.booleans())
def test_a_bright_dot_and_its_point_agree_within_a_pixel(source, target, x_share, y_share, seed, training):
    centre = np.round(np.array([source[1] * x_share, source[0] * y_share]))
    # As wide as the resize needs for the dot to be seen, and no wider.
    radii = 1.2 * np.maximum(1, np.array(source[::-1]) / target[::-1])
    transform = compose_points([JointWarp(target)]) if training else compose_points(resize_only(target))
    image = image_with_dot(source, centre, radii)
    moved, points, _ = augment_points(transform, image, centre[None].astype(np.float32), seed)
    assert moved.shape == (*target, 3)
    # Near a border, a part of the dot or its mirror image would pull the light's centre.
    wide = 3.5 * 1.2 * np.maximum(1, np.array(target[::-1]) / source[::-1]) * (1.5 if training else 1)
    apart = (6 if training else 3.5) * radii  # from the borders, in which a warp shows the dot again
    assume((centre > apart).all() and (centre < np.array(source[::-1]) - 1 - apart).all())
    assume((points[0] > wide).all() and (points[0] < np.array(target[::-1]) - 1 - wide).all())
    assert np.linalg.norm(centre_of_light(moved, points[0], wide + 2) - points[0]) < 1


@given(
    sizes, st.lists(st.tuples(st.floats(-50, 400), st.floats(-50, 400)), min_size=1, max_size=9), st.integers(0, 2**31)
)
@settings(deadline=None, max_examples=60)
def test_number_and_order_of_points_never_change(size, points, seed):
    points = np.array(points, np.float32)
    image = np.zeros((*size, 3), np.uint8)
    _, alone, _ = augment_points(compose_points(geometry_and_lighting((64, 80))), image, points[:1], seed)
    _, moved, visible = augment_points(compose_points(geometry_and_lighting((64, 80))), image, points, seed)
    assert moved.shape == points.shape
    np.testing.assert_allclose(moved[0], alone[0], rtol=1e-3, atol=1e-2)
    outside = (moved < -0.5).any(1) | (moved > np.array([79.5, 63.5])).any(1)
    np.testing.assert_array_equal(visible, ~outside)


def test_points_that_are_not_annotated_stay_invisible():
    points = np.array([[10, 10], [np.nan, np.nan], [20, 5]], np.float32)
    for seed in range(8):
        _, moved, visible = augment_points(
            compose_points(geometry_and_lighting((30, 40))), np.zeros((30, 40, 3), np.uint8), points, seed
        )
        assert len(moved) == 3
        assert not visible[1]


def test_a_flip_swaps_left_and_right_with_their_visibility():
    flip = JointWarp((30, 40), flip_p=1, affine_p=0, swap_pairs=[(0, 2)])
    points = np.array([[5, 6], [7, 8], [np.nan, np.nan]], np.float32)
    _, moved, visible = augment_points(compose_points([flip]), np.zeros((30, 40, 3), np.uint8), points, 0)
    np.testing.assert_allclose(moved[[1, 2]], [[39 - 7, 8], [39 - 5, 6]], atol=1e-4)
    assert visible.tolist() == [False, True, True]


def test_a_transform_that_loses_points_is_refused():
    lossy = A.Compose(
        [A.Crop(0, 0, 10, 10)], keypoint_params=A.KeypointParams("xy", remove_invisible=True, label_fields=["slot"])
    )
    with pytest.raises(ConfigError, match="2 points into 1"):
        augment_points(lossy, np.zeros((30, 40, 3), np.uint8), np.array([[5, 5], [20, 20]], np.float32), 0)


def test_a_transform_that_normalises_is_refused():
    image = np.full((30, 40, 3), 200, np.uint8)
    with pytest.raises(ConfigError, match="float32 pixels, not uint8"):
        augment_image(A.Compose([A.Normalize()]), image, 0)
    with pytest.raises(ConfigError, match="float32 pixels, not uint8"):
        augment_points(compose_points([A.Normalize()]), image, np.zeros((1, 2), np.float32), 0)


def test_the_validation_warp_is_opencvs_resize():
    image = np.random.default_rng(0).integers(0, 256, (60, 90, 3), np.uint8)
    warped, _, _ = augment_points(compose_points(resize_only((45, 60))), image, np.zeros((1, 2), np.float32), 0)
    resized = cv2.resize(image, (60, 45), interpolation=cv2.INTER_LINEAR)
    inner = (slice(2, -2), slice(2, -2))  # at the border one reflects and the other repeats
    assert np.abs(warped[inner].astype(int) - resized[inner].astype(int)).max() <= 5  # warps interpolate in 1/32 px


def test_far_smaller_images_are_averaged_not_sampled():
    checks = np.indices((256, 256)).sum(0) % 2 * 255
    image = np.repeat(checks[..., None], 3, axis=-1).astype(np.uint8)
    small, _, _ = augment_points(compose_points(resize_only((32, 32))), image, np.zeros((1, 2), np.float32), 0)
    assert np.abs(small.astype(int) - 127).max() <= 3


def test_points_are_scaled_as_fastai_scales_them():
    points = np.array([[0, 0], [320, 240], [640, 480], [100, 30]], float)
    np.testing.assert_allclose(scale_points(points, (480, 640)), [[-1, -1], [0, 0], [1, 1], [-0.6875, -0.875]])


@given(st.integers(0, 2**31))
@settings(max_examples=25, deadline=None)
def test_crops_are_pieces_of_the_image(seed):
    # Red grows to the right and green downwards, so the corners tell which part of the image a crop shows.
    rows, columns = np.mgrid[:200, :240]
    image = np.stack([columns, rows, np.zeros_like(rows)], axis=-1).astype(np.uint8)
    crop = augment_image(crop_train((64, 64)), image, seed).astype(float)
    assert crop.shape == (64, 64, 3)
    width, height = ((crop[..., c].max() - crop[..., c].min()) * 64 / 63 for c in (0, 1))
    assert 0.30 <= width * height / (200 * 240) <= 1.02
    assert 0.70 <= width / height <= 1.40


def test_the_validation_crop_is_the_middle_of_a_larger_squash():
    rows, columns = np.mgrid[:304, :456]  # twice and three times 152
    image = np.stack([columns // 2, rows // 2, np.zeros_like(rows)], axis=-1).astype(np.uint8)
    crop = augment_image(crop_valid((128, 128)), image, 0)
    assert crop.shape == (128, 128, 3)
    np.testing.assert_allclose(crop[0, 0, :2], (12 * 1.5, 12), atol=1.5)
    np.testing.assert_allclose(crop[-1, -1, :2], (139 * 1.5, 139), atol=1.5)


def test_without_xtra_the_whole_image_is_seen():
    image = np.random.default_rng(0).integers(0, 256, (96, 160, 3), dtype=np.uint8)
    assert (augment_image(crop_valid((96, 160), val_xtra=0), image, 0) == image).all()


def test_half_of_the_crops_are_mirrored():
    columns = np.tile(np.arange(0, 240, dtype=np.uint8), (200, 1))
    image = np.stack([columns] * 3, axis=-1)
    crops = [augment_image(crop_train((32, 32), flip_p=0.5), image, seed).astype(int) for seed in range(200)]
    falling = sum(crop[0, 0, 0] > crop[0, -1, 0] for crop in crops)
    assert 75 <= falling <= 125  # 3.5 standard deviations
    plain = [augment_image(crop_train((32, 32)), image, seed).astype(int) for seed in range(20)]
    assert all(crop[0, 0, 0] < crop[0, -1, 0] for crop in plain)


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda: crop_train((32, 32), min_scale=0), "min_scale"),
        (lambda: crop_train((32, 32), flip_p=1.5), "flip_p"),
        (lambda: crop_valid((32, 32), val_xtra=-0.1), "val_xtra"),
    ],
)
def test_shares_out_of_range_are_refused(make, what):
    with pytest.raises(ConfigError, match=f"data.{what}"):
        make()


@given(st.floats(-0.4, 0.4), st.floats(0.8, 1.25))
@settings(max_examples=30)
def test_lighting_is_the_formula_on_the_logit_scale(brightness, contrast):
    image = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, -1)
    ours = LogitLighting().apply(image, brightness, contrast)
    light = torch.tensor(image / 255).clamp(1e-7, 1 - 1e-7)
    oracle = torch.sigmoid((torch.logit(light) + brightness) * contrast) * 255
    assert np.abs(ours - oracle.numpy()).max() <= 0.5 + 1e-6


def test_the_same_seed_gives_the_same_image():
    image = np.random.default_rng(0).integers(0, 256, (50, 60, 3), np.uint8)
    points = np.array([[10, 20]], np.float32)
    transform = compose_points(geometry_and_lighting((40, 40)))
    first, other, again = (augment_points(transform, image, points, seed) for seed in (1, 2, 1))
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    assert (first[0] != other[0]).any()
