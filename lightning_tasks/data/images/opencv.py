"""The one place that imports cv2, so that a missing system library gets a helpful message."""

import os

from lightning_tasks.errors import MissingLibraryError

# Albumentations imports cv2 too, and asks the network for its newest version unless told not to.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
# Its own lines about bad images say no file's name; what is wrong, we say. Processes that are started inherit it.
os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")

try:
    import cv2
except ImportError as error:
    if ".so" not in str(error):
        raise
    raise MissingLibraryError(
        f"OpenCV cannot start: {error}. The package opencv-python needs system libraries that slim containers leave "
        "out. Install them: `apt-get install libgl1 libglib2.0-0` (Debian, Ubuntu) or `dnf install mesa-libGL glib2` "
        "(Fedora, RHEL)."
    ) from error

__all__ = ["cv2"]
