"""One file, one answer: whichever format, however it is turned, and whoever reads it."""

import base64
import io
import mmap
import warnings
from pathlib import PurePath

import cv2
import numpy as np
import pytest
from PIL import Image as Pillow
from PIL import PngImagePlugin

from lightning_tasks.data.images import decode as images
from lightning_tasks.data.images.cache import CacheSettings, ImageStore, open_cache
from lightning_tasks.data.images.decode import decode_image, file_size_px, read_image
from lightning_tasks.deploy.image_input import rgb
from lightning_tasks.deploy.server.limits import Limits
from lightning_tasks.deploy.server.upload import FORMATS, decode_upload
from lightning_tasks.errors import ImageError, LightningTasksWarning
from lightning_tasks.reports.gallery import thumbnail
from lightning_tasks.verbs.check import read_one
from lightning_tasks.verbs.report import read_reduced as read

SIZE = (24, 40)  # height and width as they are stored
TURNS = {1: None, **{n: Pillow.Transpose(method) for n, method in zip(range(2, 9), (0, 3, 1, 5, 4, 6, 2), strict=True)}}
XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="{}"/></rdf:RDF></x:xmpmeta>'
)
TURNABLE = {
    "JPEG": {"quality": 95},
    "progressive JPEG": {"format": "JPEG", "quality": 95, "progressive": True},
    "MPO": {"quality": 95},
    "PNG": {},
    "WEBP": {"lossless": True},
    "AVIF": {"quality": 95, "subsampling": "4:4:4"},  # Pillow writes irot and imir, as phones and avifenc do
    "TIFF": {},
    "TIFF, LZW": {"format": "TIFF", "compression": "tiff_lzw"},
}
WITH_XMP = ("JPEG", "PNG", "WEBP")
EXACT = ("PNG", "WEBP", "TIFF", "TIFF, LZW")


@pytest.fixture(scope="module")
def stored():
    """Large shapes, so that no two turns look alike and lossy formats keep them."""
    coarse = np.random.default_rng(3).integers(0, 256, (3, 5, 3), dtype=np.uint8)
    return Pillow.fromarray(coarse).resize(SIZE[::-1], Pillow.Resampling.BICUBIC)


def encoded(image, kind, **options):
    file = io.BytesIO()
    image.save(file, **{"format": kind, **options})
    return file.getvalue()


def by_exif(image, name, orientation):
    exif = Pillow.Exif()
    exif[0x0112] = orientation
    return encoded(image, name, exif=exif, **TURNABLE[name])


def by_xmp(image, name, orientation):
    text = PngImagePlugin.PngInfo()
    text.add_itxt("XML:com.adobe.xmp", XMP.format(orientation))
    return encoded(image, name, xmp=XMP.format(orientation).encode(), pnginfo=text, **TURNABLE[name])


def doors(content, folder):
    """Return what each way of reading a file's bytes gives; `check` must agree."""
    path = folder / "image"
    path.write_bytes(content)
    loaded = Pillow.open(io.BytesIO(content))
    loaded.load()
    cache = open_cache("x", [path], 0, CacheSettings("disk", str(folder / "cache"), 1.0), progress=False).cache
    found = {
        "path": rgb(PurePath(path)),
        "text": rgb(str(path)),
        "training": ImageStore([path])[0].image,
        "cache": cache[0].image,
        "bytes": rgb(content),
        "memory": rgb(memoryview(content)),
        "file": rgb(io.BytesIO(content)),
        "PIL": rgb(Pillow.open(io.BytesIO(content))),
        "PIL, loaded": rgb(loaded),
    }
    if loaded.format in (*FORMATS, "MPO"):
        found["HTTP"] = decode_upload(content, Limits())
    Pillow.fromarray(found["path"]).save(folder / "upright.png")
    assert read_one(path) == read_one(folder / "upright.png")
    return found


def same(found):
    """Return the pixels that all doors give."""
    for door, pixels in found.items():
        assert np.array_equal(pixels, found["path"]), door
    return found["path"].astype(int)


@pytest.mark.parametrize(
    ("name", "turn"), [*((name, by_exif) for name in TURNABLE), *((name, by_xmp) for name in WITH_XMP)]
)
def test_every_door_sees_a_turned_file_upright(stored, name, turn, tmp_path):
    for orientation, method in TURNS.items():
        truth = np.asarray(stored if method is None else stored.transpose(method)).astype(int)
        content = turn(stored, name, orientation)
        pixels = same(doors(content, tmp_path))
        assert pixels.shape == truth.shape, orientation
        assert file_size_px(tmp_path / "image") == truth.shape[:2], orientation
        assert np.abs(pixels - truth).mean() <= (0 if name in EXACT else 6), orientation
        small, original = decode_image(content, "it", 12)  # JPEGs are decoded at a half
        assert (original, min(small.shape[:2])) == (truth.shape[:2], 12)
        expected = np.asarray(
            Pillow.fromarray(truth.astype(np.uint8)).resize(small.shape[1::-1], Pillow.Resampling.BOX)
        )
        assert np.abs(small - expected.astype(int)).mean() < 8, orientation


def with_alpha(image, mode):
    image = image.convert(mode)
    image.putalpha(image.getchannel(0))
    return image


MODES = {
    "1": lambda image: image.convert("1"),
    "L": lambda image: image.convert("L"),
    "P": lambda image: image.convert("P"),
    "LA": lambda image: with_alpha(image, "L"),
    "RGBA": lambda image: with_alpha(image, "RGB"),
    "CMYK": lambda image: image.convert("CMYK"),
    "YCbCr": lambda image: image.convert("YCbCr"),
    "LAB": lambda image: image.convert("LAB"),
    "I;16": lambda image: Pillow.fromarray(np.asarray(image)[:, :, 0].astype(np.uint16) * 257),
    "transparent P": lambda image: image.convert("P"),
}
KINDS = ("JPEG", "PNG", "WEBP", "AVIF", "TIFF", "GIF", "BMP", "JPEG2000", "PPM", "TGA", "ICO", "PCX", "SGI", "QOI")


@pytest.mark.parametrize("kind", KINDS)
def test_every_door_sees_the_same_of_every_mode(stored, kind, tmp_path):
    tried = 0
    for mode, convert in MODES.items():
        options = {"transparency": 3} if mode == "transparent P" else {}
        try:
            content = encoded(convert(stored), kind, **options)
        except (OSError, ValueError, KeyError):
            continue  # the format has no such mode
        pixels = same(doors(content, tmp_path))
        if mode in ("L", "I;16") and kind in ("PNG", "TIFF", "PPM", "JPEG2000"):
            wanted = np.asarray(stored.convert("L") if mode == "L" else stored.getchannel(0))
            assert (pixels == wanted[:, :, None]).all(), mode
        tried += 1
    assert tried >= 1


def test_palettes_with_transparent_colours_are_read_without_a_word(stored, tmp_path, recwarn):
    content = encoded(stored.quantize(16), "PNG", transparency=bytes(range(0, 160, 10)))
    assert (same(doors(content, tmp_path)) == np.asarray(stored.quantize(16).convert("RGB"))).all()
    assert not recwarn.list


@pytest.mark.parametrize("dtype", [np.float32, np.int32, np.int16])
def test_files_whose_values_may_mean_anything_are_refused_at_every_door(stored, dtype, tmp_path):
    grey = np.asarray(stored.convert("L"))
    contents = [encoded(Pillow.fromarray(grey.astype(np.int32 if dtype == np.int16 else dtype)), "TIFF")]
    if dtype == np.float32:
        colours = np.asarray(stored).astype(np.float32) / 255
        contents += [cv2.imencode(ending, colours)[1].tobytes() for ending in (".tiff", ".hdr", ".pfm")]
    for content in contents:
        (tmp_path / "a.tif").write_bytes(content)
        for given in (tmp_path / "a.tif", content, io.BytesIO(content)):
            with pytest.raises(ImageError, match=r"may mean anything.*uint8"):
                rgb(given)
        assert "may mean anything" in read_one(tmp_path / "a.tif").error


JUNK = np.random.default_rng(0).bytes(300_000)


@pytest.mark.parametrize("name", ["JPEG", "progressive JPEG", "MPO", "PNG", "WEBP"])
def test_what_lies_behind_an_image_is_no_part_of_it(stored, name, tmp_path):
    whole = encoded(stored, name, **TURNABLE[name])
    alone = rgb(whole)
    for behind in (JUNK, b"\xff\xda" * 9, whole[: len(whole) // 2], b"ftypmp42" + JUNK[:99], b"\0" * 5000):
        assert (same(doors(whole + behind, tmp_path)) == alone).all()


@pytest.mark.parametrize("name", [*TURNABLE, "GIF", "BMP", "JPEG2000", "PPM"])
def test_cut_files_are_cut_at_every_door(stored, name, tmp_path):
    """A JPEG's thumbnail has an end of its own, and may stand before the cut."""
    exif = Pillow.Exif()
    exif.get_ifd(0x8769)[0x927C] = encoded(stored, "JPEG")
    options = {"exif": exif} if name in ("JPEG", "progressive JPEG", "MPO") else {}
    whole = encoded(stored, name, **TURNABLE.get(name, {}), **options)
    assert rgb(whole).shape == (*SIZE, 3)
    for share in (0.1, 0.5, 0.8, 0.95):
        content = whole[: int(len(whole) * share)]
        behind = [b""] if "JPEG" not in name or name == "JPEG2000" else [b"", b"\0" * len(whole), whole]
        for cut in (content + more for more in behind):
            path = tmp_path / "cut"
            path.write_bytes(cut)
            for given in (path, cut):
                with pytest.raises(ImageError, match="cut short"):
                    rgb(given)
            assert "cut short" in read_one(path).error
            with pytest.raises((ImageError, OSError, SyntaxError)):
                rgb(Pillow.open(path))


def test_the_first_of_several_pages_is_taken_and_it_is_said_once(stored, tmp_path, monkeypatch):
    other = Pillow.new("RGB", SIZE[::-1], "red")
    for kind in ("TIFF", "GIF", "PNG", "WEBP", "AVIF"):
        monkeypatch.setattr(images, "_frames_told", mmap.mmap(-1, 1))
        lossless = {"lossless": True} if kind == "WEBP" else {}
        content = encoded(stored, kind, save_all=True, append_images=[other, other], **lossless)
        with pytest.warns(LightningTasksWarning, match="first alone") as told:
            pixels = same(doors(content, tmp_path))
        assert [one.category for one in told].count(LightningTasksWarning) == 1
        assert np.abs(pixels - np.asarray(stored)).mean() < 8, kind
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        monkeypatch.setattr(images, "_frames_told", mmap.mmap(-1, 1))
        doors(encoded(stored, "MPO", save_all=True, append_images=[other]), tmp_path)  # of a phone: nothing to say
        doors(encoded(stored, "TIFF"), tmp_path)


def test_the_reports_thumbnails_are_upright(stored, tmp_path):
    (tmp_path / "a").write_bytes(by_exif(stored, "AVIF", 6))
    small = Pillow.open(io.BytesIO(base64.b64decode(thumbnail(tmp_path / "a", read).partition(",")[2])))
    assert small.size == SIZE
    assert np.abs(np.asarray(small).astype(int) - read_image(tmp_path / "a")).mean() < 12
