import io

import cv2
import numpy as np
import pytest
from PIL import Image

from lightning_tasks.data.images.decode import read_image
from lightning_tasks.errors import ImageError


@pytest.fixture
def colours():
    image = np.zeros((20, 30, 3), np.uint8)
    image[:, :15] = (255, 0, 0)
    image[10:, 15:] = (0, 0, 255)
    return image


def test_pixels_are_rgb(tmp_path, colours):
    Image.fromarray(colours).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), colours)


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "1"])
def test_every_mode_becomes_three_channels(tmp_path, colours, mode):
    Image.fromarray(colours).convert(mode).save(tmp_path / "a.png")
    image = read_image(tmp_path / "a.png")
    assert image.shape == (20, 30, 3)
    assert image.dtype == np.uint8


def test_exif_orientation_is_followed(tmp_path, colours):
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise to see it upright
    Image.fromarray(colours).save(tmp_path / "a.jpg", exif=exif, quality=100, subsampling=0)
    difference = read_image(tmp_path / "a.jpg").astype(int) - cv2.rotate(colours, cv2.ROTATE_90_CLOCKWISE)
    assert np.abs(difference).mean() < 5


def test_broken_files_are_named(tmp_path, colours):
    whole = io.BytesIO()
    Image.fromarray(colours).save(whole, "JPEG")
    for name, content, message in (
        ("empty.jpg", b"", "is empty"),
        ("text.jpg", b"no image at all", "not an image"),
        ("head.jpg", whole.getvalue()[:40], "not an image"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ImageError, match=message) as caught:
            read_image(tmp_path / name)
        assert name in str(caught.value)
    with pytest.raises(ImageError, match=r"gone\.jpg: cannot be read"):
        read_image(tmp_path / "gone.jpg")
