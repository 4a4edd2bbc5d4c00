"""TIFFs that say more of their values than Pillow and OpenCV mind: at every door the same, right or refused."""

import io
import struct

import numpy as np
import pytest
from PIL import Image

from lightning_tasks.data.images.decode import brightest_of, decode_image
from lightning_tasks.deploy.image_input import rgb
from lightning_tasks.errors import ImageError
from lightning_tasks.verbs.check import read_one

ORDERS = ("<", ">")
DEEP = np.random.default_rng(0).integers(0, 65_536, (24, 40, 3), dtype=np.uint16)


def tiff(array, order, photometric, sample_format=1, planes=1):
    """Return a TIFF (H, W) or (H, W, 3), written by the letter of its specification."""
    height, width, n = *array.shape[:2], array[0, 0].size
    stored = array.transpose(2, 0, 1) if planes == 2 else array
    data = np.ascontiguousarray(stored, dtype=array.dtype.newbyteorder(order)).tobytes()
    strips = n if planes == 2 else 1
    entries = {
        256: [width], 257: [height], 258: [array.itemsize * 8] * n, 259: [1], 262: [photometric], 273: [0] * strips,
        277: [n], 278: [height], 279: [len(data) // strips] * strips, 284: [planes], 339: [sample_format] * n,
    }  # fmt: skip
    behind = 8 + 2 + 12 * len(entries) + 4
    first = behind + sum(4 * len(values) for values in entries.values() if len(values) > 1)
    entries[273] = [first + i * (len(data) // strips) for i in range(strips)]
    table, more = b"", b""
    for tag, values in entries.items():
        packed = struct.pack(f"{order}{len(values)}I", *values)
        if len(values) > 1:
            packed, more = struct.pack(f"{order}I", behind + len(more)), more + packed
        table += struct.pack(f"{order}HHI", tag, 4, len(values)) + packed
    start = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(f"{order}IH", 8, len(entries))
    return start + table + b"\0" * 4 + more + data


def doors(content, folder, white_level=None):
    """Return what the doors give; the last is of PIL, where it knows the file at all."""
    path = folder / "a.tif"
    path.write_bytes(content)
    found = [rgb(path, white_level=white_level), decode_image(content, "it", 0, white_level=white_level).image]
    try:
        opened = [Image.open(io.BytesIO(content)) for _ in range(2)]
    except OSError:
        return found
    opened[1].load()
    return found + [rgb(image, white_level=white_level) for image in opened]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_white_may_be_zero(dtype, order, tmp_path):
    """X-rays are often stored so."""
    grey = DEEP[:, :, 0] if dtype == np.uint16 else (DEEP[:, :, 0] >> 8).astype(np.uint8)
    for pixels in doors(tiff(grey, order, 0), tmp_path):
        assert (pixels == 255 - (DEEP[:, :, :1] >> 8)).all()
    if dtype == np.uint16:
        assert brightest_of(tmp_path / "a.tif") == grey.max()
        for pixels in doors(tiff(grey >> 4, order, 0), tmp_path, white_level=4095):
            assert (pixels == 255 - (DEEP[:, :, :1] >> 8)).all()


@pytest.mark.parametrize("order", ORDERS)
def test_colours_in_planes_are_right_or_refused(order, tmp_path):
    for pixels in doors(tiff((DEEP >> 8).astype(np.uint8), order, 2, planes=2), tmp_path):
        assert (pixels == DEEP >> 8).all()
    content = tiff(DEEP, order, 2, planes=2)
    (tmp_path / "a.tif").write_bytes(content)
    loaded = Image.open(io.BytesIO(content))
    loaded.load()
    for given in (tmp_path / "a.tif", content, Image.open(io.BytesIO(content)), loaded):
        with pytest.raises(ImageError, match=r"in a plane each.*colours of each pixel together"):
            rgb(given)
    assert "plane each" in read_one(tmp_path / "a.tif").error


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(
    ("dtype", "sample_format"),
    [(np.int8, 2), (np.int16, 2), (np.int32, 2), (np.uint32, 1), (np.float32, 3), (float, 3)],
)
def test_other_numbers_need_a_white_and_are_read_with_it(dtype, sample_format, order, tmp_path):
    white = 100 if dtype == np.int8 else 30_000
    values = (np.arange(24 * 40).reshape(24, 40) % (white + 1)).astype(dtype)
    content = tiff(values, order, 1, sample_format)
    with pytest.raises(ImageError, match=r"may mean anything.*uint8"):
        doors(content, tmp_path)
    for pixels in doors(content, tmp_path, white_level=white):
        assert np.abs(pixels[:, :, 1] - values.astype(float) * 255 / white).max() <= 1
