"""What every exported file is: a function."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

# (B, H, W, 3) uint8 RGB → outputs (B, ...)
Run = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
