"""Geometry, lighting and crops of images, and of points in them: fastai's transforms, on albumentations.

Each step can also plan, for a device that does it: `plan` returns the plan of the steps before it and then of this one,
by the same draws as with pixels.
"""

import math
from collections.abc import Sequence
from typing import Any

import albumentations as A
import numpy as np
from numpy.typing import NDArray

from lightning_tasks.data.images.decode import Image, Size, resize
from lightning_tasks.data.images.opencv import cv2
from lightning_tasks.data.transforms.compose import Plan, move_points
from lightning_tasks.errors import ConfigError


class RandomCropResize(A.RandomResizedCrop):  # type: ignore[misc]  # albumentations ships no types
    """A piece of random area and ratio, resized by `images.resize`: albumentations' own averages five times slower.

    It has at least the share `min_scale` of the area, and is mirrored with probability `flip_p`.
    """

    def __init__(self, size: Size, min_scale: float = 0.35, flip_p: float = 0.0) -> None:
        super().__init__(size, scale=(min_scale, 1.0), ratio=(3 / 4, 4 / 3))
        self.min_scale = min_scale
        self.flip_p = flip_p

    def get_params_dependent_on_data(self, params: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
        """Draw the piece and whether it is mirrored."""
        drawn: dict[str, Any] = super().get_params_dependent_on_data(params, data)
        return {**drawn, "flipped": self.py_random.random() < self.flip_p if self.flip_p else False}

    def plan(self, plan: Plan) -> Plan:
        """Return the plan with this crop in it."""
        drawn = self.get_params_dependent_on_data({"shape": plan.size}, {})
        return plan.warp(_box_to_source(drawn["crop_coords"], self.size, drawn["flipped"]), self.size)

    def apply(self, img: Image, crop_coords: tuple[int, int, int, int], flipped: bool, **_: Any) -> Image:  # noqa: ANN401 - albumentations'
        """Cut, resize and mirror."""
        x_min, y_min, x_max, y_max = crop_coords
        piece = resize(img[y_min:y_max, x_min:x_max], self.size)
        return np.ascontiguousarray(piece[:, ::-1]) if flipped else piece


class SquashCrop(A.ImageOnlyTransform):  # type: ignore[misc]  # albumentations ships no types
    """The whole image squashed a little larger than `size`, then its centre.

    128 px come from 152: `size + ceil(val_xtra·size/8)·8`, fastai's `RandomResizedCrop` outside training; at 0 the
    result is the whole image.
    """

    def __init__(self, size: Size, val_xtra: float = 0.14) -> None:
        super().__init__(p=1)
        self.size = size
        height, width = (side + math.ceil(val_xtra * side / 8) * 8 for side in size)
        self.squashed = (height, width)
        self.top, self.left = (height - size[0]) // 2, (width - size[1]) // 2

    def plan(self, plan: Plan) -> Plan:
        """Return the plan with this crop in it."""
        y, x = plan.size[0] / self.squashed[0], plan.size[1] / self.squashed[1]
        box = (self.left * x, self.top * y, (self.left + self.size[1]) * x, (self.top + self.size[0]) * y)
        return plan.warp(_box_to_source(box, self.size), self.size)

    def apply(self, img: Image, **_: Any) -> Image:  # noqa: ANN401 - albumentations'
        """Squash and cut."""
        squashed = resize(img, self.squashed)
        return squashed[self.top : self.top + self.size[0], self.left : self.left + self.size[1]]


def _box_to_source(box: tuple[float, float, float, float], size: Size, flipped: bool = False) -> NDArray[np.float64]:
    """Return the matrix from the pixels of a result of `size` to those of the image that it is the `box` of."""
    left, top, right, bottom = box
    x, y = (right - left) / size[1], (bottom - top) / size[0]
    matrix = np.array([[x, 0, left + (x - 1) / 2], [0, y, top + (y - 1) / 2], [0, 0, 1]])
    return matrix @ np.array([[-1, 0, size[1] - 1], [0, 1, 0], [0, 0, 1]]) if flipped else matrix


class JointWarp(A.DualTransform):  # type: ignore[misc]  # albumentations ships no types
    """Flip, rotation, zoom, perspective warp and resize as one homography: one interpolation, and exact points.

    Args:
        size: height and width of the result.
        flip_p: probability of a horizontal flip.
        max_rotate_deg: rotation is uniform between minus and plus this, about the image's centre.
        max_zoom: zoom is uniform between 1 and this, about a uniform point.
        max_warp: the corners move by up to this on the −1..1 scale, in x and in y.
        affine_p: probability of each of rotation, zoom, and the two warps.
        swap_pairs: positions of points that change places in a flip, such as left and right eye.

    Borders are filled by reflection. Where the image shrinks more than twice, an area average goes first, as
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
        """Draw the homography, from the result's pixels to the image's."""
        flipped = self.py_random.random() < self.flip_p
        return {"to_source": self._draw(params["shape"][:2], flipped), "flipped": flipped}

    def apply(self, img: Image, to_source: NDArray[np.float64], **_: Any) -> Image:  # noqa: ANN401 - albumentations'
        """Warp the image."""
        height, width = img.shape[:2]
        shrink = min(height / self.size[0], width / self.size[1])
        if shrink > 2:
            reduced = (max(1, round(2 * height / shrink)), max(1, round(2 * width / shrink)))
            img = np.asarray(cv2.resize(img, (reduced[1], reduced[0]), interpolation=cv2.INTER_AREA), dtype=np.uint8)
            to_source = _px_from_norm(reduced) @ _norm_from_px((height, width)) @ to_source
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
        return move_points(keypoints, to_source, self.swap_pairs if flipped else ())

    def plan(self, plan: Plan) -> Plan:
        """Return the plan with this warp in it."""
        drawn = self.get_params_dependent_on_data({"shape": plan.size}, {})
        return plan.warp(drawn["to_source"], self.size, self.swap_pairs if drawn["flipped"] else ())

    def _draw(self, shape: Size, flipped: bool) -> NDArray[np.float64]:
        height, width = shape
        source = np.array([[-1.0 if flipped else 1.0, 0, 0], [0, 1, 0], [0, 0, 1]])
        if self._chance():
            angle = math.radians(self.py_random.uniform(-self.max_rotate_deg, self.max_rotate_deg))
            cos, sin = math.cos(angle), math.sin(angle)
            # On the −1..1 scale of an image that is not square, a rotation of pixels has the sides' ratio in it.
            source = source @ np.array([[cos, sin * height / width, 0], [-sin * width / height, cos, 0], [0, 0, 1]])
        if self._chance():
            scale = 1 / self.py_random.uniform(1, self.max_zoom)
            x, y = (self.py_random.uniform(-1, 1) for _ in range(2))
            source = source @ np.array([[scale, 0, (1 - scale) * x], [0, scale, (1 - scale) * y], [0, 0, 1]])
        x, y = (self.py_random.uniform(-self.max_warp, self.max_warp) if self._chance() else 0.0 for _ in range(2))
        if x or y:
            corners = np.array([[-1, -1], [-1, 1], [1, -1], [1, 1]], dtype=np.float32)
            moved = np.array([[-1 - y, -1 - x], [-1 + y, 1 + x], [1 + y, -1 + x], [1 - y, 1 - x]], dtype=np.float32)
            source = cv2.getPerspectiveTransform(corners, moved) @ source
        return np.asarray(_px_from_norm(shape) @ source @ _norm_from_px(self.size))

    def _chance(self) -> bool:
        return bool(self.py_random.random() < self.affine_p)


def _norm_from_px(size: Size) -> NDArray[np.float64]:
    """Return the matrix from pixels to −1..1 from edge to edge, where resizing is the identity."""
    height, width = size
    return np.array([[2 / width, 0, 1 / width - 1], [0, 2 / height, 1 / height - 1], [0, 0, 1]])


def _px_from_norm(size: Size) -> NDArray[np.float64]:
    """Return the inverse of `_norm_from_px`."""
    height, width = size
    return np.array([[width / 2, 0, (width - 1) / 2], [0, height / 2, (height - 1) / 2], [0, 0, 1]])


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

    def plan(self, plan: Plan) -> Plan:
        """Return the plan with this lighting in it."""
        return plan.light(**self.get_params())

    def apply(self, img: Image, brightness: float, contrast: float, **_: Any) -> Image:  # noqa: ANN401 - albumentations'
        """Apply both through one table of 256 values."""
        return np.asarray(cv2.LUT(img, _lighting_table(brightness, contrast)))


_LOGIT = np.log((p := np.clip(np.arange(256) / 255, 1e-7, 1 - 1e-7)) / (1 - p))


def _lighting_table(brightness: float, contrast: float) -> NDArray[np.uint8]:
    return np.asarray(np.round(255 / (1 + np.exp(-(_LOGIT + brightness) * contrast))), dtype=np.uint8)


def geometry_and_lighting(
    size: Size,
    *,
    flip_p: float = 0.5,
    max_rotate_deg: float = 10.0,
    max_zoom: float = 1.1,
    max_warp: float = 0.2,
    max_lighting: float = 0.2,
    swap_pairs: Sequence[tuple[int, int]] = (),
) -> list[A.BasicTransform]:
    """Return the steps of fastai's `aug_transforms(size=size)`; raise ConfigError if a strength is out of its range."""
    if not 0 <= flip_p <= 1:
        raise ConfigError(f"data.flip_p is {flip_p}; it is a probability, from 0 to 1.")
    if max_zoom < 1 or not 0 <= max_lighting < 1 or not 0 <= max_warp < 1:
        raise ConfigError(
            f"data.max_zoom {max_zoom} must be 1 or more; data.max_lighting {max_lighting} and data.max_warp "
            f"{max_warp} at least 0 and below 1."
        )
    warp = JointWarp(size, flip_p, max_rotate_deg, max_zoom, max_warp, swap_pairs=swap_pairs)
    return [warp, LogitLighting(max_lighting)]


def resize_only(size: Size) -> list[A.BasicTransform]:
    """Return the steps of fastai's validation transform: a resize."""
    return [JointWarp(size, flip_p=0, max_rotate_deg=0, max_zoom=1, max_warp=0)]


def crop_train(size: Size, min_scale: float = 0.35, flip_p: float = 0.0) -> A.Compose:
    """Fastai's training transform: a crop of random area and ratio, resized to `size`.

    Raises:
        ConfigError: `min_scale`, the smallest share of the image, or `flip_p` does not lie between 0 and 1.
    """
    if not 0 < min_scale <= 1:
        raise ConfigError(f"data.min_scale is {min_scale}; it is a share of the image, above 0 and up to 1.")
    if not 0 <= flip_p <= 1:
        raise ConfigError(f"data.flip_p is {flip_p}; it is a probability, from 0 to 1.")
    return A.Compose([RandomCropResize(size, min_scale, flip_p)])


def crop_valid(size: Size, val_xtra: float = 0.14) -> A.Compose:
    """Fastai's validation transform: the whole image squashed a little larger, then its centre.

    Raises:
        ConfigError: `val_xtra`, how much larger, is below 0 or above 1.
    """
    if not 0 <= val_xtra <= 1:
        raise ConfigError(f"data.val_xtra is {val_xtra}; it is a share of the side, from 0 (no crop) to 1.")
    return A.Compose([SquashCrop(size, val_xtra)])
