"""Brightness and contrast."""

import math
from typing import Any

import albumentations as A
import numpy as np
from numpy.typing import NDArray

from lightning_tasks.data.images.decode import Image
from lightning_tasks.data.images.opencv import cv2
from lightning_tasks.data.transforms.device_plan import Plan


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
        """Return the plan with this lighting in it; see `PlansForDevice`."""
        return plan.light(**self.get_params())

    def apply(self, img: Image, brightness: float, contrast: float, **_: Any) -> Image:  # noqa: ANN401 - albumentations'
        """Apply both through one table of 256 values."""
        return np.asarray(cv2.LUT(img, _lighting_table(brightness, contrast)))


_LOGIT = np.log((p := np.clip(np.arange(256) / 255, 1e-7, 1 - 1e-7)) / (1 - p))


def _lighting_table(brightness: float, contrast: float) -> NDArray[np.uint8]:
    return np.asarray(np.round(255 / (1 + np.exp(-(_LOGIT + brightness) * contrast))), dtype=np.uint8)
