"""Image transforms, joint image-and-point transforms, and the scale of points.

Positions follow OpenCV: the centre of the top-left pixel is (0, 0), so a picture W pixels wide spans −0.5..W − 0.5.
The book's transforms are those of fastai's chapter 6 (`RandomResizedCrop` and `aug_transforms`), on albumentations.
"""

import math
from collections.abc import Sequence
from typing import Any

import albumentations as A
import numpy as np
from numpy.typing import NDArray

from lightning_tasks.data.images import Image
from lightning_tasks.data.opencv import cv2
from lightning_tasks.errors import ConfigError

Points = NDArray[np.float32]  # (P, 2), x and y in pixels, NaN where not annotated
Size = tuple[int, int]  # height, width


def scale_points(points_px: NDArray[Any], size: Size) -> NDArray[Any]:
    """Scale (..., 2) pixels of a picture of `size` (height, width) to −1..1: `2·p/(W, H) − 1`."""
    return np.asarray(points_px * 2 / np.array([size[1], size[0]]) - 1)


def unscale_points(points_norm: NDArray[Any], size: Size) -> NDArray[Any]:
    """Scale (..., 2) from −1..1 back to pixels of a picture of `size` (height, width): `(p + 1)·(W, H)/2`."""
    return np.asarray((points_norm + 1) * np.array([size[1], size[0]]) / 2)


def augment_image(transform: A.Compose, image: Image, seed: int) -> Image:
    """Return the transformed picture; the same seed gives the same one."""
    transform.set_random_seed(seed)
    return np.asarray(transform(image=image)["image"], dtype=np.uint8)


def augment_points(
    transform: A.Compose, image: Image, points_px: Points, seed: int
) -> tuple[Image, Points, NDArray[np.bool_]]:
    """Transform a picture and its points together; their number and order never change.

    Returns:
        The picture; the points (P, 2) in its pixels, also those outside it; and which of them are visible (P,):
        annotated, and inside the new picture.

    Raises:
        ConfigError: the transform lost or multiplied points.
    """
    annotated: NDArray[np.bool_] = np.asarray(~np.isnan(points_px).any(axis=-1))
    transform.set_random_seed(seed)
    # `slot` follows the points through transforms that swap them, such as a flip with left and right.
    result = transform(image=image, keypoints=np.nan_to_num(points_px), slot=np.arange(len(points_px)))
    if len(result["keypoints"]) != len(points_px):
        raise ConfigError(
            f"The transform turned {len(points_px)} points into {len(result['keypoints'])}. Give its Compose "
            "keypoint_params=KeypointParams('xy', remove_invisible=False, label_fields=['slot']) and use no reflecting "
            "border that multiplies points."
        )
    picture = np.asarray(result["image"], dtype=np.uint8)
    moved = np.asarray(result["keypoints"], dtype=np.float32)[:, :2]
    source = np.asarray(result["slot"], dtype=np.float64).round().astype(np.int64)
    height, width = picture.shape[:2]
    inside = ((moved >= -0.5) & (moved <= np.array([width, height], dtype=np.float32) - 0.5)).all(axis=-1)
    return picture, moved, annotated[source] & inside


def compose_points(transforms: Sequence[A.BasicTransform]) -> A.Compose:
    """Return a Compose that keeps every point, for `augment_points`."""
    return A.Compose(
        list(transforms),
        keypoint_params=A.KeypointParams(format="xy", remove_invisible=False, label_fields=["slot"]),
    )


def crop_train(size: Size, min_scale: float = 0.35) -> A.Compose:
    """The book's training transform for labels: a crop of random area and ratio, resized to `size`. No flip."""
    crop = A.RandomResizedCrop(
        size,
        scale=(min_scale, 1.0),
        ratio=(3 / 4, 4 / 3),
        interpolation=cv2.INTER_LINEAR,
        area_for_downscale="image",  # plain bilinear would alias where it shrinks
    )
    return A.Compose([crop])


def crop_valid(size: Size) -> A.Compose:
    """The book's validation transform for labels: the whole picture squashed a little larger, then its centre.

    128 px come from 152: `size + ceil(0.14·size/8)·8`, fastai's `RandomResizedCrop` outside training.
    """
    height, width = (side + math.ceil(0.14 * side / 8) * 8 for side in size)
    return A.Compose([A.Resize(height, width, area_for_downscale="image"), A.CenterCrop(*size)])


def warp_train(
    size: Size,
    *,
    flip_p: float = 0.5,
    max_rotate_deg: float = 10.0,
    max_zoom: float = 1.1,
    max_warp: float = 0.2,
    max_lighting: float = 0.2,
    swap_pairs: Sequence[tuple[int, int]] = (),
) -> A.Compose:
    """The book's training transform for points, `aug_transforms(size=size)`: geometry and lighting."""
    warp = JointWarp(size, flip_p, max_rotate_deg, max_zoom, max_warp, swap_pairs=swap_pairs)
    return compose_points([warp, LogitLighting(max_lighting)])


def warp_valid(size: Size) -> A.Compose:
    """The book's validation transform for points: a resize."""
    return compose_points([JointWarp(size, flip_p=0, max_rotate_deg=0, max_zoom=1, max_warp=0)])


class JointWarp(A.DualTransform):  # type: ignore[misc]  # albumentations ships no types
    """Flip, rotation, zoom, perspective warp and resize as one homography: one interpolation, and exact points.

    Args:
        size: height and width of the result.
        flip_p: probability of a horizontal flip.
        max_rotate_deg: rotation is uniform between minus and plus this, about the picture's centre.
        max_zoom: zoom is uniform between 1 and this, about a uniform point.
        max_warp: the corners move by up to this on the −1..1 scale, in x and in y.
        affine_p: probability of each of rotation, zoom, and the two warps.
        swap_pairs: positions of points that change places in a flip, such as left and right eye.

    Borders are filled by reflection. Where the picture shrinks more than twice, an area average goes first, as
    bilinear sampling would skip pixels.

    Source: fastai's `aug_transforms`; the defaults are its own.
    """

    _targets = (A.core.type_definitions.Targets.IMAGE, A.core.type_definitions.Targets.KEYPOINTS)

    def __init__(
        self,
        size: Size,
        flip_p: float = 0.5,
        max_rotate_deg: float = 10.0,
        max_zoom: float = 1.1,
        max_warp: float = 0.2,
        affine_p: float = 0.75,
        swap_pairs: Sequence[tuple[int, int]] = (),
    ) -> None:
        super().__init__(p=1)
        self.size = size
        self.flip_p = flip_p
        self.max_rotate_deg = max_rotate_deg
        self.max_zoom = max_zoom
        self.max_warp = max_warp
        self.affine_p = affine_p
        self.swap_pairs = swap_pairs

    def get_params_dependent_on_data(self, params: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
        """Draw the homography, from the result's pixels to the picture's."""
        flipped = self.py_random.random() < self.flip_p
        return {"to_source": self._draw(params["shape"][:2], flipped), "flipped": flipped}

    def apply(self, img: Image, to_source: NDArray[np.float64], **_: Any) -> Image:  # noqa: ANN401 - albumentations'
        """Warp the picture."""
        height, width = img.shape[:2]
        shrink = min(height / self.size[0], width / self.size[1])
        if shrink > 2:
            reduced = (max(1, round(2 * height / shrink)), max(1, round(2 * width / shrink)))
            img = np.asarray(cv2.resize(img, (reduced[1], reduced[0]), interpolation=cv2.INTER_AREA), dtype=np.uint8)
            to_source = np.linalg.inv(_norm_from_px(reduced)) @ _norm_from_px((height, width)) @ to_source
        return np.asarray(
            cv2.warpPerspective(
                img,
                to_source,
                (self.size[1], self.size[0]),
                flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                borderMode=cv2.BORDER_REFLECT_101,
            )
        )

    def apply_to_keypoints(
        self,
        keypoints: NDArray[Any],
        to_source: NDArray[np.float64],
        flipped: bool,
        **_: Any,  # noqa: ANN401 - albumentations'
    ) -> NDArray[Any]:
        """Move the points along, and let pairs change places in a flip."""
        moved = keypoints.copy()
        homogeneous = np.column_stack([keypoints[:, :2].astype(np.float64), np.ones(len(keypoints))])
        mapped = homogeneous @ np.linalg.inv(to_source).T
        moved[:, :2] = mapped[:, :2] / mapped[:, 2:]
        if flipped:
            order = np.arange(len(moved))
            for left, right in self.swap_pairs:
                order[[left, right]] = order[[right, left]]
            moved = moved[order]
        return moved

    def _draw(self, shape: Size, flipped: bool) -> NDArray[np.float64]:
        height, width = shape
        source = np.diag([-1.0 if flipped else 1.0, 1.0, 1.0])
        if self._chance():
            angle = math.radians(self.py_random.uniform(-self.max_rotate_deg, self.max_rotate_deg))
            cos, sin = math.cos(angle), math.sin(angle)
            # On the −1..1 scale of a picture that is not square, a rotation of pixels has the sides' ratio in it.
            source = source @ [[cos, sin * height / width, 0], [-sin * width / height, cos, 0], [0, 0, 1]]
        if self._chance():
            scale = 1 / self.py_random.uniform(1, self.max_zoom)
            x, y = (self.py_random.uniform(-1, 1) for _ in range(2))
            source = source @ [[scale, 0, (1 - scale) * x], [0, scale, (1 - scale) * y], [0, 0, 1]]
        x, y = (self.py_random.uniform(-self.max_warp, self.max_warp) if self._chance() else 0.0 for _ in range(2))
        if x or y:
            corners = np.array([[-1, -1], [-1, 1], [1, -1], [1, 1]], dtype=np.float32)
            moved = np.array([[-1 - y, -1 - x], [-1 + y, 1 + x], [1 + y, -1 + x], [1 - y, 1 - x]], dtype=np.float32)
            source = cv2.getPerspectiveTransform(corners, moved) @ source
        return np.asarray(np.linalg.inv(_norm_from_px(shape)) @ source @ _norm_from_px(self.size))

    def _chance(self) -> bool:
        return bool(self.py_random.random() < self.affine_p)


class LogitLighting(A.ImageOnlyTransform):  # type: ignore[misc]  # albumentations ships no types
    """Brightness and contrast on the logit scale, where they cannot leave 0..1.

    Args:
        max_lighting: brightness adds logit(U(0.5·(1 − m), 0.5·(1 + m))), contrast multiplies by exp(U(ln(1 − m),
            −ln(1 − m))).
        lighting_p: probability of each.

    Source: fastai's `Brightness` and `Contrast`; the defaults are `aug_transforms`'.
    """

    def __init__(self, max_lighting: float = 0.2, lighting_p: float = 0.75) -> None:
        super().__init__(p=1)
        self.max_lighting = max_lighting
        self.lighting_p = lighting_p

    def get_params(self) -> dict[str, Any]:
        """Draw the two."""
        brightness, contrast = 0.0, 1.0
        if self.py_random.random() < self.lighting_p:
            change = self.py_random.uniform(0.5 * (1 - self.max_lighting), 0.5 * (1 + self.max_lighting))
            brightness = math.log(change / (1 - change))
        if self.py_random.random() < self.lighting_p:
            limit = math.log(1 - self.max_lighting)
            contrast = math.exp(self.py_random.uniform(limit, -limit))
        return {"brightness": brightness, "contrast": contrast}

    def apply(self, img: Image, brightness: float, contrast: float, **_: Any) -> Image:  # noqa: ANN401 - albumentations'
        """Apply both through one table of 256 values."""
        return np.asarray(cv2.LUT(img, _lighting_table(brightness, contrast)))


_LOGIT = np.log((p := np.clip(np.arange(256) / 255, 1e-7, 1 - 1e-7)) / (1 - p))


def _lighting_table(brightness: float, contrast: float) -> NDArray[np.uint8]:
    return np.asarray(np.round(255 / (1 + np.exp(-(_LOGIT + brightness) * contrast))), dtype=np.uint8)


def _norm_from_px(size: Size) -> NDArray[np.float64]:
    """Return the matrix from pixels to −1..1 from edge to edge, where resizing is the identity."""
    height, width = size
    return np.array([[2 / width, 0, 1 / width - 1], [0, 2 / height, 1 / height - 1], [0, 0, 1]])
