"""HEIC, as phones write it: at every door the pixels that pillow-heif has, or a message that says what to do."""

import io
import mmap
import sys
import warnings

import numpy as np
import pillow_heif
import pytest
from fastapi import HTTPException
from PIL import Image as Pillow

from lightning_tasks import MultiLabelDataModule
from lightning_tasks.data.images import decode as images
from lightning_tasks.data.images.decode import brightest_of, decode_image, file_size_px, read_image
from lightning_tasks.data.images.pillow import open_header
from lightning_tasks.deploy.image_input import rgb
from lightning_tasks.deploy.server.limits import Limits
from lightning_tasks.deploy.server.upload import decode_upload
from lightning_tasks.deploy.sources import find_images
from lightning_tasks.errors import ImageError, LightningTasksWarning
from lightning_tasks.reports.gallery import thumbnail
from lightning_tasks.verbs.check import read_one
from lightning_tasks.verbs.report import read_reduced as read
from tests.data.test_formats import SIZE, TURNS, doors, same

COARSE = np.random.default_rng(3).integers(0, 256, (3, 5, 3), dtype=np.uint8)
IMAGE = Pillow.fromarray(COARSE).resize(SIZE[::-1], Pillow.Resampling.BICUBIC)
LOSSLESS = {"quality": -1, "chroma": 444}  # but for the change of colours to YCbCr and back
OTHER = Pillow.new("RGB", SIZE[::-1], "red")


@pytest.fixture
def registered(monkeypatch):
    """Let Pillow open HEIC, as users do who hand over PIL images."""
    monkeypatch.setitem(Pillow.OPEN, "HEIF", (pillow_heif.HeifImageFile, None))
    monkeypatch.setattr(Pillow, "ID", [*Pillow.ID, "HEIF"])


def heic(image, *others, **options):
    """Return a HEIC of images; what `exif` says of its turn the container says too, as phones write it."""
    made = pillow_heif.from_pillow(image)
    for other in others:
        made.add_from_pillow(other)
    file = io.BytesIO()
    made.save(file, **{**LOSSLESS, **options})
    return file.getvalue()


def exif_of(orientation):
    exif = Pillow.Exif()
    exif[0x0112] = orientation
    return exif.tobytes()


def deep(mode, array, **options):
    file = io.BytesIO()
    pillow_heif.from_bytes(mode=mode, size=SIZE[::-1], data=array.astype(np.uint16).tobytes()).save(
        file, **{**LOSSLESS, **options}
    )
    return file.getvalue()


def by_pillow_heif(content):
    """Return the pixels by the library itself."""
    return np.asarray(pillow_heif.open_heif(io.BytesIO(content)).to_pillow().convert("RGB"))


@pytest.mark.parametrize("orientation", TURNS)
def test_a_phones_image_is_turned_once_at_every_door(orientation, registered, tmp_path):
    content = heic(IMAGE, exif=exif_of(orientation))
    assert (orientation == 1) == (b"irot" not in content and b"imir" not in content)
    method = TURNS[orientation]
    truth = np.asarray(IMAGE if method is None else IMAGE.transpose(method))
    pixels = same(doors(content, tmp_path))
    assert (pixels == by_pillow_heif(content)).all()
    assert np.abs(pixels - truth).max() <= 3
    assert file_size_px(tmp_path / "image") == truth.shape[:2]
    small, original = decode_image(content, "it", 12)
    assert (original, min(small.shape[:2])) == (truth.shape[:2], 12)
    shown = thumbnail(tmp_path / "image", read)
    assert shown.startswith("data:image")


def test_exif_alone_turns_nothing(registered, tmp_path):
    """ISO/IEC 23000-22 (MIAF): what turns an image is the container's; a viewer's EXIF is for information."""
    orientation = b"\x01\x12\x00\x03\x00\x00\x00\x01\x00"  # tag, type and count; the value follows
    content = heic(IMAGE, exif=exif_of(1))
    assert content.count(orientation + b"\x01") == 1
    content = content.replace(orientation + b"\x01", orientation + b"\x06")
    assert b"irot" not in content
    assert np.abs(same(doors(content, tmp_path)) - np.asarray(IMAGE)).max() <= 3


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "RGBa"])
def test_modes_and_transparency(mode, registered, tmp_path):
    if mode == "RGBa":
        opaque = IMAGE.convert("RGBA").convert("RGBa")
        file = io.BytesIO()
        pillow_heif.from_bytes(mode="RGBa", size=opaque.size, data=opaque.tobytes()).save(file, **LOSSLESS)
        content = file.getvalue()
    else:
        content = heic(IMAGE.convert(mode))
    truth = IMAGE.convert("L").convert("RGB") if mode in ("L", "LA") else IMAGE
    assert np.abs(same(doors(content, tmp_path)) - np.asarray(truth)).max() <= 3


@pytest.mark.parametrize("bits", [10, 12])
@pytest.mark.parametrize("mode", ["RGB;16", "I;16"])
def test_more_than_8_bits_say_themselves_which_value_is_white(mode, bits, registered, tmp_path, monkeypatch):
    monkeypatch.setattr(pillow_heif.options, "SAVE_HDR_TO_12_BIT", bits == 12)
    values = np.asarray(IMAGE).astype(int) * 257
    content = deep(mode, values if mode == "RGB;16" else values[:, :, 0])
    opened = pillow_heif.open_heif(io.BytesIO(content), convert_hdr_to_8bit=False)
    assert opened.info["bit_depth"] == bits
    pixels = same(doors(content, tmp_path))
    stored = np.asarray(opened).reshape(*SIZE, -1)
    assert (pixels == stored >> 8).all()
    assert np.abs(pixels - np.asarray(IMAGE)[:, :, : stored.shape[2]]).max() <= 2
    assert brightest_of(tmp_path / "image") is None
    for white in (4095, 65_535):  # of other files
        assert (rgb(content, white_level=white) == pixels).all()


def test_the_main_one_of_several_images_is_taken_and_it_is_said_once(registered, tmp_path, monkeypatch):
    for primary in (0, 1):
        monkeypatch.setattr(images, "_frames_told", mmap.mmap(-1, 1))
        content = heic(*((IMAGE, OTHER) if primary == 0 else (OTHER, IMAGE)), primary_index=primary)
        with pytest.warns(LightningTasksWarning, match="first alone is taken .of HEIC, the main one") as told:
            pixels = same(doors(content, tmp_path))
        assert [one.category for one in told].count(LightningTasksWarning) == 1
        assert np.abs(pixels - np.asarray(IMAGE)).max() <= 3
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        monkeypatch.setattr(images, "_frames_told", mmap.mmap(-1, 1))
        doors(heic(IMAGE, thumbnails=[16]), tmp_path)  # one image, with a small copy: nothing to say


def test_cut_files_are_cut_at_every_door_and_what_lies_behind_is_no_part(registered, tmp_path):
    whole = heic(IMAGE)
    for share in (0.02, 0.1, 0.5, 0.8, 0.95, 0.999):
        cut = whole[: int(len(whole) * share)]
        (tmp_path / "cut").write_bytes(cut)
        for given in (tmp_path / "cut", cut):
            with pytest.raises(ImageError, match="cut short"):
                rgb(given)
        assert "cut short" in read_one(tmp_path / "cut").error
        with pytest.raises(HTTPException) as refused:
            decode_upload(cut, Limits())
        assert refused.value.status_code == 422
        with pytest.raises((ImageError, OSError, SyntaxError)):
            rgb(Pillow.open(tmp_path / "cut"))
    assert (same(doors(whole + b"\0junk" * 999, tmp_path)) == by_pillow_heif(whole)).all()


def test_more_pixels_than_allowed_are_refused_by_the_header(tmp_path):
    content = heic(Pillow.new("RGB", (700, 500)))
    with pytest.raises(ImageError, match=r"too many pixels: 700×500.*--allow_pixels 350000"):
        rgb(content, max_pixels=349_999)
    with pytest.raises(HTTPException) as refused:
        decode_upload(content, Limits(max_pixels=349_999))
    assert refused.value.status_code == 413


def test_other_files_of_the_container_are_no_images():
    for brand in (b"heic", b"mp42", b"qt  "):
        with pytest.raises(ImageError, match="not an image that can be decoded"):
            rgb(b"\0\0\0\x18ftyp" + brand + bytes(99))


def test_without_its_package_the_way_out_is_named(tmp_path, monkeypatch):
    content = heic(IMAGE)
    (tmp_path / "a.HEIC").write_bytes(content)
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    assert file_size_px(tmp_path / "a.HEIC") is None
    wanted = r"a\.HEIC: is HEIC.*pip install 'lightning-tasks\[heif\]'"
    with pytest.raises(ImageError, match=wanted):
        read_image(tmp_path / "a.HEIC")
    assert "lightning-tasks[heif]" in read_one(tmp_path / "a.HEIC").error
    with pytest.raises(HTTPException, match=r"lightning-tasks\[heif\]"):
        decode_upload(content, Limits())


def test_the_package_is_imported_for_a_heic_alone(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    for kind in ("PNG", "TIFF", "AVIF", "TGA"):
        file = io.BytesIO()
        IMAGE.save(file, kind)
        assert rgb(file.getvalue()).shape == (*SIZE, 3)


def test_a_folder_and_a_table_of_heics_are_read(tmp_path):
    """By every ending, and by names that lack it."""
    for ending in (".heic", ".HEIC", ".heif", ".hif"):
        (tmp_path / f"{ending[1:]}{ending}").write_bytes(heic(IMAGE))
    assert len(find_images([str(tmp_path)], None)) == 4
    (tmp_path / "labels.csv").write_text("fname,labels,is_valid\nheic,cat,False\nHEIC.HEIC,cat,False\nheif,cat,True\n")
    data = MultiLabelDataModule(str(tmp_path), num_workers=0, size=16)
    data.setup("fit")
    assert [len(data.train_set), len(data.valid_set)] == [2, 1]
    assert data.valid_set[0].image.shape == (16, 16, 3)


def test_a_header_is_read_without_pillow_knowing_the_format():
    assert "HEIF" not in Pillow.OPEN
    assert open_header(io.BytesIO(heic(IMAGE))).size == SIZE[::-1]
    assert "HEIF" not in Pillow.OPEN  # nobody else's images are opened otherwise
