"""What every exported file is: a function."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

# (B, H, W, 3) uint8 RGB → (B, C) probabilities, or (B, P, 2) pixels
Run = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
