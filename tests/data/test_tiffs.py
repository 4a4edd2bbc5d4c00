"""TIFFs that say more of their values than Pillow and OpenCV mind: at every door the same, right or refused."""

import contextlib
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


def tiff(array, order, photometric, sample_format=1, planes=1, extra=None):
    """Return a TIFF (H, W) or (H, W, C), written by the letter of its specification; `extra`: what each is beyond."""
    height, width, n = *array.shape[:2], array[0, 0].size
    stored = array.transpose(2, 0, 1) if planes == 2 else array
    data = np.ascontiguousarray(stored, dtype=array.dtype.newbyteorder(order)).tobytes()
    strips = n if planes == 2 else 1
    entries = {
        256: [width], 257: [height], 258: [array.itemsize * 8] * n, 259: [1], 262: [photometric], 273: [0] * strips,
        277: [n], 278: [height], 279: [len(data) // strips] * strips, 284: [planes], 339: [sample_format] * n,
    } | ({} if extra is None else {338: extra})  # fmt: skip
    entries = dict(sorted(entries.items()))
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


UNSAID, ALPHA, STRAIGHT_ALPHA = 0, 1, 2  # what an extra sample may be
KNOWN = [  # channels, photometric interpretation (1 grey, 2 RGB, 5 CMYK), extra samples: transparency is dropped
    (2, 1, [STRAIGHT_ALPHA]), (2, 1, None), (4, 2, [STRAIGHT_ALPHA]), (4, 2, None), (4, 5, None),
]  # fmt: skip
OTHERS = [  # as satellites and microscopes have them
    *((n, 1, [UNSAID] * (n - 1)) for n in (2, 3, 4, 5, 13)),
    *((n, 2, [UNSAID] * (n - 3)) for n in (4, 5, 6)),
    *((4, 1, None), (3, 1, None), (5, 2, [STRAIGHT_ALPHA, UNSAID]), (5, 2, [UNSAID, ALPHA]), (5, 5, [UNSAID])),
]


def bands(n, dtype):
    return np.random.default_rng(1).integers(0, np.iinfo(dtype).max, (24, 40, n), dtype=dtype)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize(("n", "photometric", "extra"), KNOWN)
def test_transparency_and_inks_are_known(n, photometric, extra, dtype, tmp_path):
    array = bands(n, dtype)
    found = doors(tiff(array, "<", photometric, extra=extra), tmp_path)
    assert all((pixels == found[0]).all() for pixels in found)
    if photometric != 5:
        colours = array[:, :, : 1 if n == 2 else 3]
        assert (found[0] == (colours if dtype == np.uint8 else colours >> 8)).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize(("n", "photometric", "extra"), OTHERS)
def test_channels_that_are_no_colours_are_refused_at_every_door(n, photometric, extra, dtype, tmp_path, capfd):
    sample_format, array = (3, bands(n, np.uint8)) if dtype == np.float32 else (1, bands(n, dtype))
    for planes in (1, 2):
        content = tiff(array.astype(dtype), "<", photometric, sample_format, planes, extra)
        (tmp_path / "a.tif").write_bytes(content)
        given = [tmp_path / "a.tif", content]
        with contextlib.suppress(OSError):
            given.append(Image.open(io.BytesIO(content)))
        for source in given:
            with pytest.raises(ImageError, match=rf"has {n} channels.*An image has one .grey. or three .RGB."):
                rgb(source, white_level=1)
        assert f"has {n} channels" in read_one(tmp_path / "a.tif").error
    assert capfd.readouterr().err == ""


def test_a_jpeg_2000_of_five_channels_is_refused(tmp_path):
    file = io.BytesIO()
    Image.fromarray((DEEP >> 8).astype(np.uint8)).save(file, "JPEG2000")
    content = bytearray(file.getvalue())
    at = content.find(b"\xff\x4f\xff\x51") + 40
    assert content[at : at + 2] == b"\0\3"
    content[at + 1] = 5
    with pytest.raises(ImageError, match="has 5 channels"):
        rgb(bytes(content))
