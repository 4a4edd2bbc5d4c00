"""Every way to give an image."""

import io
from pathlib import PurePath

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from lightning_tasks.data.images.decode import read_image
from lightning_tasks.deploy.image_input import rgb
from lightning_tasks.errors import ImageError


@pytest.fixture
def image():
    drawn = Image.new("RGB", (40, 24), (250, 10, 60))
    ImageDraw.Draw(drawn).rectangle((0, 0, 12, 8), fill=(0, 200, 90))  # so that a turn is seen
    return drawn


@pytest.mark.parametrize("mode", ["RGB", "L", "1", "P", "PA", "LA", "RGBA", "CMYK", "I;16"])
def test_pil_images_of_every_mode(image, mode):
    given = Image.fromarray(np.full((24, 40), 40_000, dtype=np.uint16)) if mode == "I;16" else image.convert(mode)
    got = rgb(given)
    assert (got.shape, got.dtype) == ((24, 40, 3), np.uint8)
    if mode == "I;16":
        assert (got == 40_000 >> 8).all()
    elif mode in ("RGB", "RGBA", "CMYK"):
        assert np.abs(got.astype(int) - np.asarray(image)).max() <= 2


@pytest.mark.parametrize("mode", ["RGB", "L", "1", "P", "LA", "RGBA", "I;16"])
def test_png_files_read_as_pil_does(image, mode, tmp_path):
    given = Image.fromarray(np.full((24, 40), 40_000, dtype=np.uint16)) if mode == "I;16" else image.convert(mode)
    given.save(tmp_path / "a.png")
    assert np.abs(rgb(tmp_path / "a.png").astype(int) - rgb(given).astype(int)).max() <= 1
    assert (rgb(str(tmp_path / "a.png")) == rgb(tmp_path / "a.png")).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientations(image, orientation, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = orientation
    image.save(tmp_path / "a.jpg", quality=98, subsampling=0, exif=exif)
    from_file = rgb(tmp_path / "a.jpg").astype(int)
    assert (from_file.shape[0] > from_file.shape[1]) == (orientation > 4)
    assert np.abs(from_file - rgb(Image.open(tmp_path / "a.jpg"))).mean() < 1


def test_arrays():
    grey = 50 * np.arange(6, dtype=np.uint8).reshape(2, 3)
    for given in (grey, grey[:, :, None], np.repeat(grey[:, :, None], 4, 2), grey.astype(np.uint16) << 8):
        assert (rgb(given) == grey[:, :, None]).all()
    colour = np.random.default_rng(0).integers(0, 256, (5, 4, 3), dtype=np.uint8)
    assert (rgb(colour[:, ::-1]) == colour[:, ::-1]).all()
    assert rgb(colour[:, ::-1]).flags["C_CONTIGUOUS"]


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, np.int32, np.int16, np.int8, np.uint32, bool])
def test_arrays_whose_values_may_mean_anything_are_refused(dtype):
    for shape in ((4, 5), (4, 5, 3)):
        with pytest.raises(ImageError, match=rf"may mean anything \({np.dtype(dtype)}\).*0\.\.255.*uint8.*uint16"):
            rgb(np.ones(shape, dtype))


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_pil_images_whose_values_may_mean_anything_are_refused(image, dtype):
    given = Image.fromarray(np.asarray(image.convert("L")).astype(dtype))
    for one in (given, given.rotate(90)):
        with pytest.raises(ImageError, match=rf"may mean anything \({dtype.__name__}\)"):
            rgb(one)


def test_the_bytes_of_files_and_open_files(image, tmp_path):
    image.save(tmp_path / "a.png")
    content = (tmp_path / "a.png").read_bytes()
    written = io.BytesIO()
    image.save(written, "PNG")  # it now stands at its end
    with (tmp_path / "a.png").open("rb") as file:
        given = [content, bytearray(content), memoryview(content), written, file, PurePath(tmp_path / "a.png")]
        for one in given:
            assert (rgb(one) == np.asarray(image)).all()
        with (tmp_path / "a.png").open(encoding="latin-1") as text, pytest.raises(ImageError, match="binary mode"):
            rgb(text)
    for gone in (file, io.StringIO("text")):
        with pytest.raises(ImageError, match="binary mode"):
            rgb(gone)
    with pytest.raises(ImageError, match="is empty"):
        rgb(io.BytesIO())


@pytest.mark.parametrize(
    "given",
    [
        np.zeros((4, 4, 2), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros(4, np.uint8),
        np.zeros((2, 4, 4, 3), np.uint8),
        None,
        7,
        b"x",
        torch.zeros(3, 4, 4),
    ],
    ids=repr,
)
def test_what_is_no_image(given):
    with pytest.raises(ImageError, match="image"):
        rgb(given)


def test_a_cut_pil_image(image, tmp_path):
    image.resize((400, 240)).save(tmp_path / "a.jpg")
    (tmp_path / "a.jpg").write_bytes((tmp_path / "a.jpg").read_bytes()[:1000])
    with pytest.raises(ImageError), Image.open(tmp_path / "a.jpg") as cut:
        rgb(cut)
    with pytest.raises(ImageError, match=r"a\.jpg"):
        read_image(tmp_path / "a.jpg")


@pytest.mark.parametrize("door", [lambda dark: dark, Image.fromarray, lambda dark: dark[:, :, None]])
def test_eight_bits_in_sixteen_are_not_taken_for_black(door):
    dark = np.arange(24 * 10, dtype=np.uint16).reshape(24, 10)
    with pytest.raises(ImageError, match=r"may mean anything \(16 bits, of which none is above 239 of 65535\)"):
        rgb(door(dark))
    assert not rgb(door(np.zeros_like(dark))).any()  # black is black


def test_eight_bits_in_a_file_of_sixteen_neither(tmp_path):
    Image.fromarray(np.full((24, 40), 200, dtype=np.uint16)).save(tmp_path / "a.png")
    with pytest.raises(ImageError, match=r"a\.png: its values may mean anything \(16 bits"):
        read_image(tmp_path / "a.png")


@pytest.mark.filterwarnings("ignore:the matrix subclass")
def test_a_pil_image_without_pixels_and_a_matrix():
    with pytest.raises(ImageError, match="has no pixels"):
        rgb(Image.new("RGB", (0, 5)))
    assert (rgb(np.matrix([[7, 8], [9, 10]], dtype=np.uint8))[:, :, 0] == [[7, 8], [9, 10]]).all()
