"""The geometry of images and points: one homography, one interpolation."""

import math
from collections.abc import Sequence
from typing import Any

import albumentations as A
import numpy as np
from numpy.typing import NDArray

from lightning_tasks.data.images.decode import Image, Size
from lightning_tasks.data.images.opencv import cv2
from lightning_tasks.data.transforms.device_plan import Plan, move_points


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
        """Return the plan with this warp in it; see `PlansForDevice`."""
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
