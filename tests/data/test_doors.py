"""The table of formats and doors: the same pixels, or the same refusal, of every file at every door."""

import io
import re
import struct
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image as Pillow

from lightning_tasks import LabelPrediction, MultiLabelDataModule
from lightning_tasks.data.images import decode as images
from lightning_tasks.data.images.opencv import cv2
from lightning_tasks.deploy.image_input import rgb
from lightning_tasks.deploy.server.app import make_app
from lightning_tasks.deploy.server.limits import Limits
from lightning_tasks.deploy.server.upload import FORMATS as BROWSERS
from lightning_tasks.errors import LightningTasksError
from lightning_tasks.tasks.multilabel.output import LabelFormat
from lightning_tasks.verbs.check import read_one
from lightning_tasks.verbs.near_duplicates import looks_of
from lightning_tasks.verbs.predict import _preprocess

SIZE = (64, 80)
COARSE = np.random.default_rng(3).integers(0, 256, (3, 5, 3), dtype=np.uint8)
COLOURS = np.asarray(Pillow.fromarray(COARSE).resize(SIZE[::-1], Pillow.Resampling.BICUBIC))
IMAGE = Pillow.fromarray(COLOURS)
GREY = np.asarray(IMAGE.convert("L"))
GREY_RGB = np.repeat(GREY[:, :, None], 3, axis=2)
TURN = Pillow.Transpose.ROTATE_270  # of orientation 6


def deep(values, bits):
    """Return 8 bits as values of more, of which the lower ones are not empty."""
    wide = values.astype(np.uint32)
    return ((wide << (bits - 8)) | (wide & 3)).astype(np.uint16)


def saved(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def by_opencv(array, ending):
    return cv2.imencode(ending, array[:, :, ::-1] if array.ndim == 3 and array.shape[2] == 3 else array)[1].tobytes()


def netpbm(values, maximum, magic=None):
    """Return a PGM, a PPM or a PAM."""
    channels = 1 if values.ndim == 2 else values.shape[2]
    data = values.astype(">u2" if maximum > 255 else "u1").tobytes()
    height, width = values.shape[:2]
    if magic != "P7":
        return f"{magic or ('P5' if channels == 1 else 'P6')}\n{width} {height}\n{maximum}\n".encode() + data
    kind = {1: "GRAYSCALE", 2: "GRAYSCALE_ALPHA", 3: "RGB", 4: "RGB_ALPHA"}.get(channels, "BANDS")
    lines = f"P7\nWIDTH {width}\nHEIGHT {height}\nDEPTH {channels}\nMAXVAL {maximum}\nTUPLTYPE {kind}\nENDHDR\n"
    return lines.encode() + data


def tiff(data, bits, channels, orientation=1, order="<", numbers=1):
    """Return a TIFF of SIZE without compression, of which Pillow writes no like."""
    colours = 2 if channels >= 3 else 1
    tags = {256: SIZE[1], 257: SIZE[0], 258: bits, 259: 1, 262: colours, 273: 0, 274: orientation, 277: channels}
    tags |= {278: SIZE[0], 279: len(data), 339: numbers}
    behind = 8 + 2 + 12 * len(tags) + 4
    more = struct.pack(f"{order}{channels}H", *[bits] * channels) if channels > 2 else b""
    tags[273] = behind + len(more)
    entries = b""
    for tag, value in tags.items():
        if tag == 258 and channels > 2:
            entries += struct.pack(f"{order}HHII", tag, 3, channels, behind)
        elif tag == 258:
            entries += struct.pack(f"{order}HHIHH", tag, 3, channels, bits, bits)
        else:
            entries += struct.pack(f"{order}HHII", tag, 4, 1, value)
    start = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 8)
    return start + struct.pack(f"{order}H", len(tags)) + entries + struct.pack(f"{order}I", 0) + more + data


def packed(values, bits):
    """Return rows of values of that many bits each."""
    rows = values.reshape(len(values), -1)
    return b"".join(np.packbits((row[:, None] >> np.arange(bits - 1, -1, -1)) & 1).tobytes() for row in rows)


def jpeg2000_of_12_bits(values):
    """Return an image that says its values have 12 bits: one of 16 whose headers are changed, and zero's place too."""
    shifted = (values + (2**15 - 2**11)).astype(np.uint16)
    content = bytearray(saved(Pillow.fromarray(shifted), "JPEG2000"))
    content[content.find(b"\xff\x4f\xff\x51") + 42] = content[content.find(b"ihdr") + 14] = 11
    return bytes(content)


def with_alpha(mode):
    image = IMAGE.convert(mode)
    image.putalpha(image.getchannel(0))
    return image


def sgi_of_16_bits(values):
    head = struct.pack(">hbbHHHH", 474, 0, 2, 2, SIZE[1], SIZE[0], 1) + bytes(500)
    return head + values[::-1].astype(">u2").tobytes()


def turned(content_of, **options):
    exif = Pillow.Exif()
    exif[0x0112] = 6
    return content_of(exif=exif, **options)


PAGES = {"save_all": True, "append_images": [Pillow.new("RGB", SIZE[::-1], "red")] * 2}
RGB12, GREY12, GREY16, RGB16 = deep(COLOURS, 12), deep(GREY, 12), deep(GREY, 16), deep(COLOURS, 16)
ALIKE = None  # of a format with losses: whichever pixels, but the same ones
EIGHT_BITS = {
    "JPEG": (saved(IMAGE, "JPEG"), ALIKE),
    "JPEG of CMYK": (saved(IMAGE.convert("CMYK"), "JPEG"), ALIKE),
    "PNG": (saved(IMAGE, "PNG"), COLOURS),
    "PNG, turned": (turned(lambda **exif: saved(IMAGE, "PNG", **exif)), np.asarray(IMAGE.transpose(TURN))),
    "PNG of grey and alpha": (saved(with_alpha("L"), "PNG"), GREY_RGB),
    "PNG with alpha": (saved(with_alpha("RGB"), "PNG"), COLOURS),
    "PNG of a palette": (saved(IMAGE.quantize(9), "PNG"), np.asarray(IMAGE.quantize(9).convert("RGB"))),
    "PNG of 1 bit": (saved(IMAGE.convert("1"), "PNG"), np.asarray(IMAGE.convert("1").convert("RGB"))),
    "TIFF of 1 bit": (saved(IMAGE.convert("1"), "TIFF"), np.asarray(IMAGE.convert("1").convert("RGB"))),
    "TIFF of CMYK": (saved(IMAGE.convert("CMYK"), "TIFF"), ALIKE),
    "TIFF of pages": (saved(IMAGE, "TIFF", **PAGES), COLOURS),
    "GIF, animated": (saved(IMAGE, "GIF", **PAGES), ALIKE),
    "PNG, animated": (saved(IMAGE, "PNG", **PAGES), COLOURS),
    "WebP, animated": (saved(IMAGE, "WEBP", lossless=True, **PAGES), COLOURS),
    "AVIF": (saved(IMAGE, "AVIF"), ALIKE),
    "AVIF, animated": (saved(IMAGE, "AVIF", **PAGES), ALIKE),
    "BMP": (saved(IMAGE, "BMP"), COLOURS),
    "TGA": (saved(IMAGE, "TGA"), COLOURS),
    "PCX": (saved(IMAGE, "PCX"), COLOURS),
    "ICO": (saved(IMAGE, "ICO", sizes=[SIZE[::-1]]), COLOURS),
    "SGI": (saved(IMAGE, "SGI"), COLOURS),
    "DDS": (saved(IMAGE, "DDS"), COLOURS),
    "QOI": (saved(IMAGE, "QOI"), COLOURS),
    "Sun raster": (by_opencv(COLOURS, ".ras"), COLOURS),
    "JPEG 2000": (saved(IMAGE, "JPEG2000"), COLOURS),
    "PPM": (netpbm(COLOURS, 255), COLOURS),
    "PAM": (netpbm(COLOURS, 255, "P7"), COLOURS),
    "PAM of 4 bits": (netpbm(COLOURS >> 4, 15, "P7"), (COLOURS >> 4) * 17),
    "PAM of 1 bit": (netpbm(GREY // 128, 1, "P7").replace(b"GRAYSCALE", b"BLACKANDWHITE"), GREY_RGB // 128 * 255),
    "PAM with alpha": (netpbm(np.dstack([COLOURS, GREY]), 255, "P7"), COLOURS),
    "PAM of grey and alpha": (netpbm(np.dstack([GREY, GREY]), 255, "P7"), GREY_RGB),
}
# The value that is said to be white; None: the file itself says it.
TWELVE_BITS = {
    "PNG": (by_opencv(GREY12, ".png"), GREY_RGB, 4095),
    "PNG of colours": (by_opencv(RGB12, ".png"), COLOURS, 4095),
    "PNG of colours and alpha": (by_opencv(np.dstack([RGB12[:, :, ::-1], GREY12]), ".png"), COLOURS, 4095),
    "TIFF": (saved(Pillow.fromarray(GREY12), "TIFF"), GREY_RGB, 4095),
    "TIFF, LZW": (saved(Pillow.fromarray(GREY12), "TIFF", compression="tiff_lzw"), GREY_RGB, 4095),
    "TIFF, big end first": (tiff(GREY12.astype(">u2").tobytes(), 16, 1, order=">"), GREY_RGB, 4095),
    "TIFF of colours": (by_opencv(RGB12, ".tiff"), COLOURS, 4095),
    "TIFF of colours, turned": (tiff(RGB12.astype("<u2").tobytes(), 16, 3, 6), np.asarray(IMAGE.transpose(TURN)), 4095),
    "TIFF of 12 bits": (tiff(packed(GREY12, 12), 12, 1), GREY_RGB, None),
    "TIFF of colours of 12 bits": (tiff(packed(RGB12, 12), 12, 3), COLOURS, None),
    "TIFF of 14 bits": (tiff(packed(deep(GREY, 14), 14), 14, 1), GREY_RGB, None),
    "PGM": (netpbm(GREY12, 65535), GREY_RGB, 4095),
    "PGM that says it": (netpbm(GREY12, 4095), GREY_RGB, None),
    "PPM": (netpbm(RGB12, 65535), COLOURS, 4095),
    "PPM that says it": (netpbm(RGB12, 4095), COLOURS, None),
    "PAM": (netpbm(RGB12, 65535, "P7"), COLOURS, 4095),
    "PAM that says it": (netpbm(GREY12, 4095, "P7"), GREY_RGB, None),
    "JPEG 2000": (saved(Pillow.fromarray(GREY12), "JPEG2000"), GREY_RGB, 4095),
    "JPEG 2000 that says it": (jpeg2000_of_12_bits(GREY12), GREY_RGB, None),
    "TIFF of int32": (saved(Pillow.fromarray(GREY12.astype(np.int32)), "TIFF"), GREY_RGB, 4095),
    "TIFF of float32": (saved(Pillow.fromarray(GREY.astype(np.float32)), "TIFF"), GREY_RGB, 255),
    "TIFF of float32 colours": (by_opencv((COLOURS / 255).astype(np.float32), ".tiff"), COLOURS, 1),
    "PFM": (by_opencv((COLOURS / 255).astype(np.float32), ".pfm"), COLOURS, 1),
    "HDR": (by_opencv((COLOURS / 255).astype(np.float32), ".hdr"), ALIKE, 1),
}
SIXTEEN_BITS = {
    "PNG": (by_opencv(GREY16, ".png"), GREY_RGB),
    "PNG of colours": (by_opencv(RGB16, ".png"), COLOURS),
    "TIFF": (saved(Pillow.fromarray(GREY16), "TIFF"), GREY_RGB),
    "TIFF of colours": (by_opencv(RGB16, ".tiff"), COLOURS),
    "PPM": (netpbm(RGB16, 65535), COLOURS),
    "PAM": (netpbm(RGB16, 65535, "P7"), COLOURS),
    "JPEG 2000": (by_opencv(RGB16, ".jp2"), ALIKE),
    "SGI": (sgi_of_16_bits(GREY16), GREY_RGB),
}
UNKNOWN = r"may mean anything.*white_level.*uint8"
UNDECODABLE = "is not an image that can be decoded"
CHANNELS = r"has 5 channels that are not colours and transparency alone.*write three of them as RGB"
REFUSED = {
    "TIFF of int32": (saved(Pillow.fromarray(GREY.astype(np.int32)), "TIFF"), None, UNKNOWN),
    "TIFF of int16": (tiff(GREY.astype("<i2").tobytes(), 16, 1, numbers=2), None, UNKNOWN),
    "TIFF of float32": (saved(Pillow.fromarray(GREY.astype(np.float32)), "TIFF"), None, UNKNOWN),
    "TIFF of NaN": (saved(Pillow.fromarray(np.full(SIZE, np.nan, np.float32)), "TIFF"), 1, "no numbers"),
    "HDR": (by_opencv((COLOURS / 255).astype(np.float32), ".hdr"), None, UNKNOWN),
    "PFM": (by_opencv((COLOURS / 255).astype(np.float32), ".pfm"), None, UNKNOWN),
    "8 bits in a PNG of 16": (by_opencv(GREY.astype(np.uint16), ".png"), None, UNKNOWN),
    "8 bits in colours of 16": (by_opencv(COLOURS.astype(np.uint16), ".png"), None, UNKNOWN),
    "TIFF of 5 channels": (tiff(np.dstack([COLOURS, GREY, GREY]).tobytes(), 8, 5), None, CHANNELS),
    "PAM of 5 channels": (netpbm(np.dstack([COLOURS, GREY, GREY]), 255, "P7"), None, CHANNELS),
    "SGI of 12 bits": (sgi_of_16_bits(GREY12), 4095, "upper 8 alone"),
    "text": (b"no image at all", None, UNDECODABLE),
}


class Recorder:
    """A predictor that keeps what it is given."""

    output_format = LabelFormat(("cat",), np.array([0.5], np.float32))
    module = SimpleNamespace(preprocess=SimpleNamespace(window=SimpleNamespace(size=(8, 8))))
    allow_pixels = images.MAX_PIXELS

    def __init__(self, white_level):
        self.white_level = white_level

    def __call__(self, image):
        self.given = image
        return LabelPrediction(("cat",), np.array([0.7], np.float32), np.array([True]))

    def preprocess(self, image):
        self.given = image
        return []


def by_http(content, white_level):
    recorder = Recorder(white_level)
    answer = TestClient(make_app(recorder, Limits(), "best.ckpt")).post(
        "/predict", content=content, headers={"Content-Type": "application/octet-stream"}
    )
    return recorder.given if answer.status_code == 200 else answer.json()["detail"]


def by_predict(path, white_level):
    recorder = Recorder(white_level)
    error = _preprocess(recorder, path).error
    return recorder.given if error is None else error


def by_fit(folder, white_level, cache):
    data = MultiLabelDataModule(
        str(folder), white_level=white_level, cache=cache, cache_dir=str(folder / "cache"), decode_side=0
    )
    try:
        data.setup("fit")
        return data.train_set.images[0].image
    except LightningTasksError as error:
        return str(error)


def given(source, white_level):
    try:
        return rgb(source, white_level=white_level)
    except LightningTasksError as error:
        return str(error)


def doors(content, white_level, folder):
    """Return the pixels that each door makes of a file, or the refusal, and what `check` sees of it."""
    folder.mkdir(exist_ok=True)
    for name in ("a", "b"):
        (folder / name).write_bytes(content)
    (folder / "labels.csv").write_text("fname,labels,is_valid\na,cat,False\nb,cat,True\n")
    found = {
        "fit": by_fit(folder, white_level, "none"),
        "fit, cache": by_fit(folder, white_level, "disk"),
        "predict by path": by_predict(folder / "a", white_level),
        "path": given(folder / "a", white_level),
        "bytes": given(content, white_level),
        "file": given(io.BytesIO(content), white_level),
    }
    with Pillow.open(io.BytesIO(content)) if opens(content) else io.BytesIO() as image:
        if isinstance(image, Pillow.Image):
            found["PIL"] = given(image, white_level)
            if image.format in (*BROWSERS, "MPO"):
                found["HTTP"] = by_http(content, white_level)
    return found, read_one(folder / "a", white_level)


def opens(content):
    try:
        with Pillow.open(io.BytesIO(content)):
            return True
    except OSError:
        return False


def require_same(content, wanted, white_level, folder):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*several pages")
        found, seen = doors(content, white_level, folder)
    wanted = found["path"] if wanted is ALIKE else wanted
    for door, pixels in found.items():
        assert not isinstance(pixels, str), (door, pixels)
        assert np.array_equal(pixels, wanted), door
    assert seen.error == ""
    assert seen.looks == looks_of(np.ascontiguousarray(wanted))
    assert (seen.height, seen.width) == wanted.shape[:2]
    assert np.ptp(wanted) > 100  # neither black nor white


@pytest.mark.parametrize("name", EIGHT_BITS)
def test_eight_bits(name, tmp_path):
    for white_level in (None, 4095):  # which is of no concern to them
        require_same(*EIGHT_BITS[name], white_level, tmp_path / str(white_level))


@pytest.mark.parametrize("name", TWELVE_BITS)
def test_more_bits_than_eight_are_scaled_by_one_rule(name, tmp_path):
    content, wanted, white_level = TWELVE_BITS[name]
    require_same(content, wanted, white_level, tmp_path / "one")
    if white_level is None:  # what the file says goes before what is said of the table
        require_same(content, wanted, 1023, tmp_path / "other")


@pytest.mark.parametrize("name", SIXTEEN_BITS)
def test_all_of_sixteen_bits(name, tmp_path):
    for white_level in (None, 65_535):
        require_same(*SIXTEEN_BITS[name], white_level, tmp_path / str(white_level))


@pytest.mark.parametrize("name", REFUSED)
def test_what_one_door_refuses_all_do(name, tmp_path):
    content, white_level, message = REFUSED[name]
    found, seen = doors(content, white_level, tmp_path)
    for door, refusal in {**found, "check": seen.error}.items():
        assert isinstance(refusal, str), door
        fewer = door.startswith("fit") and "white_level 255" in refusal  # all of the table are like that
        assert fewer or re.search(message, refusal), (door, refusal)
