"""What `predict` says of odd files, in a terminal: our own lines, and nobody else's."""

import csv
import mmap
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lightning_tasks import load
from lightning_tasks.__main__ import console
from lightning_tasks.data.images import decode as images
from lightning_tasks.errors import ConfigError, ImageError
from tests.fakes import write_image

QUIET = ["--device", "cpu", "--progress", "false"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(images, "_frames_told", mmap.mmap(-1, 1))
    Path("in").mkdir()
    return tmp_path / "in"


def rows():
    with Path("predictions.csv").open(newline="", encoding="utf-8") as file:
        return {Path(row["fname"]).name: row for row in csv.DictReader(file)}


def write_odd_files(folder):
    """Write files at which OpenCV, libpng, libtiff and Pillow have something to say of their own."""
    write_image(folder / "whole.jpg")
    image = Image.open(folder / "whole.jpg")
    image.save(folder / "profile.png", icc_profile=b"no profile")
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(folder / "exif.webp", exif=exif.tobytes()[:-3])
    for name in ("a.tif", "b.tif"):
        image.save(folder / name, save_all=True, append_images=[image, image])
    for ending in (".png", ".tif", ".bmp", ".gif", ".webp", ".jp2", ".avif", ".ppm"):
        image.save(folder / f"cut{ending}")
        content = (folder / f"cut{ending}").read_bytes()
        (folder / f"cut{ending}").write_bytes(content[: len(content) // 2])
        (folder / f"start{ending}").write_bytes(content[:16] + bytes(60))
    samples = (
        (folder / "a.tif")
        .read_bytes()
        .replace(b"\x15\x01\x03\x00\x01\x00\x00\x00\x03", b"\x15\x01\x03\x00\x01\x00\x00\x00\x99")
    )
    (folder / "samples.tif").write_bytes(samples)  # 153 a pixel: Pillow logs an error
    (folder / "start.jpg").write_bytes((folder / "whole.jpg").read_bytes()[:30] + bytes(60))
    Image.fromarray(np.zeros((4, 4), np.float32)).save(folder / "float.tif")


@pytest.mark.filterwarnings("default")
def test_one_warning_of_ours_and_no_line_of_the_decoders(labels_run, folder, capfd, monkeypatch):
    write_odd_files(folder)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 500)  # Pillow's own, which would warn and then refuse
    assert console(["predict", str(labels_run[0] / labels_run[1]), "in", *QUIET]) == 1
    found = rows()
    good = {name for name, row in found.items() if not row["error"]}
    assert good == {"whole.jpg", "profile.png", "exif.webp", "a.tif", "b.tif"}
    assert "may mean anything" in found["float.tif"]["error"]
    assert re.fullmatch(r"warning: in/[ab]\.tif holds several pages or frames: the first.*\n", capfd.readouterr().err)


def test_more_pixels_are_read_where_they_are_allowed(labels_run, folder, capsys):
    checkpoint = str(labels_run[0] / labels_run[1])
    write_image(folder / "large.png", (30, 50))
    write_image(folder / "turned.jpg", (30, 50))
    for allowed, code in ((1499, 1), (1500, 0)):
        arguments = ["predict", checkpoint, "in", "--allow_pixels", str(allowed), "--annotate", "drawn", *QUIET]
        assert console(arguments) == code
        for row in rows().values():
            assert ("50×30 are more than 1,499" in row["error"] and "--allow_pixels 1500" in row["error"]) == bool(code)
    capsys.readouterr()
    assert console(["predict", checkpoint, "in", "--allow_pixels", "0", *QUIET]) == 2
    assert "allow_pixels is 0" in capsys.readouterr().err
    predictor = load(checkpoint, "cpu", allow_pixels=1499)
    for given in (folder / "large.png", (folder / "large.png").read_bytes()):
        with pytest.raises(ImageError, match="too many pixels"):
            predictor(given)
    with pytest.raises(ConfigError, match="allow_pixels is"):
        load(checkpoint, "cpu", allow_pixels=2**40)


def test_more_than_pillows_own_limit(tmp_path, monkeypatch):
    """Pillow asks its limit when it opens an image, and again when it reads a compressed TIFF."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 500)
    monkeypatch.setattr(images, "MAX_PIXELS", 1000)
    for options in ({"format": "TIFF", "compression": "tiff_lzw"}, {"format": "PNG"}, {"format": "AVIF"}):
        Image.new("RGB", (50, 30)).save(tmp_path / "a", **options)
        with pytest.raises(ImageError, match=r"50×30 are more than 1,000.*--allow_pixels 1500"):
            images.read_reduced(tmp_path / "a", 8, 1000)
    images.allow(1500, "allow_pixels")
    for options in ({"format": "TIFF", "compression": "tiff_lzw"}, {"format": "PNG"}, {"format": "AVIF"}):
        Image.new("RGB", (50, 30)).save(tmp_path / "a", **options)
        assert images.read_reduced(tmp_path / "a", 0, 1500).original_size == (30, 50)
