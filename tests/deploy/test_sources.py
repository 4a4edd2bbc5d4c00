"""What the verb `predict` finds, and what it says that it left out."""

import io
import os
from pathlib import Path

import cv2
import numpy as np
import pillow_heif
import pytest
from matplotlib.figure import Figure
from PIL import Image

from lightning_tasks.data.images import pillow
from lightning_tasks.data.images.decode import read_image
from lightning_tasks.deploy.sources import IMAGES, find_images, search
from lightning_tasks.errors import DatasetNotFoundError, TableError
from lightning_tasks.reports.figure_file import write_figure
from tests.fakes import write_image

# How Pillow writes what an ending promises, where its own name for it is another.
FORMATS = {
    **dict.fromkeys((".jpg", ".jpeg", ".jpe", ".jfif", ".pjpeg", ".pjp"), "JPEG"),
    **{
        ".mpo": "MPO",
        ".png": "PNG",
        ".apng": "PNG",
        ".gif": "GIF",
        ".webp": "WEBP",
        ".avif": "AVIF",
        ".jp2": "JPEG2000",
    },
    **{
        ".bmp": "BMP",
        ".dib": "BMP",
        ".tga": "TGA",
        ".jpx": "JPEG2000",
        ".jpf": "JPEG2000",
        ".j2k": "JPEG2000",
        ".tif": "TIFF",
        ".tiff": "TIFF",
    },
    **dict.fromkeys((".j2c", ".jpc"), "JPEG2000"),
    **dict.fromkeys((".icb", ".vda", ".vst"), "TGA"),
    **{".avifs": "AVIF", ".pcx": "PCX", ".sgi": "SGI", ".qoi": "QOI", ".dds": "DDS"},
    **dict.fromkeys((".ppm", ".pgm", ".pbm", ".pnm"), "PPM"),
    **dict.fromkeys((".heic", ".heif", ".hif", ".heics", ".heifs"), "HEIF"),
}


def paths(sources, **more):
    return [str(one.path) for one in find_images(sources, None, **more)]


def names(sources):
    return [str(one.name) for one in find_images(sources, None)]


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("ending", sorted(IMAGES))
def test_each_ending_that_is_taken_is_read(here, ending):
    pixels = np.full((16, 24, 3), 200, dtype=np.uint8)
    if ending == ".ras":  # Pillow reads it only
        Path("a.RAS").write_bytes(cv2.imencode(ending, pixels)[1].tobytes())
    elif FORMATS[ending] == "HEIF":  # Pillow writes it only where somebody tells it how
        pillow_heif.from_pillow(Image.fromarray(pixels)).save(f"a{ending.upper()}", format="HEIF")
    else:
        image = Image.fromarray(pixels).convert("1" if ending == ".pbm" else "L" if ending == ".pgm" else "RGB")
        image.save(f"a{ending.upper()}", FORMATS[ending])
    assert paths(["."]) == [f"a{ending.upper()}"]
    assert read_image(Path(f"a{ending.upper()}")).shape == (16, 24, 3)


def test_every_ending_that_pillow_reads_for_us_is_taken():
    """But those of icons and of raw numbers, which lie about for other reasons."""
    Image.init()
    known = {ending for ending, name in Image.registered_extensions().items() if name in pillow.FORMATS}
    assert known - IMAGES <= {".ico", ".pfm", ".rgb", ".rgba", ".bw"}


@pytest.mark.parametrize("ending", [".png", ".PNG", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".gif", ".avif", ""])
def test_figures_do_not_become_images(here, ending):
    (here / "in").mkdir()
    write_figure(here / "in" / f"a{ending}", Figure())
    with pytest.raises(DatasetNotFoundError, match="1 that this program has drawn itself"):
        find_images(["in"], None)


def test_what_is_not_looked_at_is_counted_by_ending(here):
    write_image(here / "in" / "a.jpg")
    write_image(here / "in" / "b.png")
    (here / "in" / "b.png").rename(here / "in" / "b")  # no ending, yet an image
    write_image(here / "else" / "c.jpg")
    for name in ("x.MP4", "y.mp4", "notes.txt", "._a.jpg", "README", "raw.dng"):
        (here / "in" / name).write_bytes(b"no image")
    (here / "in" / "link").symlink_to(here / "else")
    (here / "in" / "gone.jpg").symlink_to("nowhere.jpg")
    os.mkfifo(here / "in" / "pipe.jpg")
    found, left_out = search(["in"], None)
    assert [str(one.path) for one in found] == ["in/a.jpg", "in/b"]
    said = "\n".join(left_out.lines())
    for part in (
        "2 .mp4",
        "1 .txt",
        "1 without an ending",
        "1 .dng",
        "Raw files of cameras: develop them",
        "in/link: a linked folder",
        "in/gone.jpg: a link that leads nowhere",
        "1 ._*",
    ):
        assert part in said
    assert "in/pipe.jpg: no plain file" in said
    assert "else" not in said


def test_a_folder_without_images_says_what_it_has_instead(here):
    (here / "in").mkdir()
    (here / "in" / "a.dng").touch()
    with pytest.raises(DatasetNotFoundError, match=r"no images in in\. 1 \.dng.*develop them to JPEG or TIFF"):
        find_images(["in"], None)


def test_a_folder_that_may_not_be_entered_is_named(here, monkeypatch):
    write_image(here / "in" / "a.jpg")
    (here / "in" / "locked").mkdir()
    scan = os.scandir  # who runs the tests may be allowed everything

    def refuse(path):
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    left_out = search(["in"], None).left_out
    assert left_out.unreadable == {"in/locked": "Permission denied"}
    assert left_out.lines() == ["in/locked: Permission denied."]


def test_a_folder_that_may_not_be_entered_is_named_for_patterns_too(here, monkeypatch):
    write_image(here / "in" / "open" / "a.jpg")
    (here / "in" / "locked" / "deep").mkdir(parents=True)
    access = os.access  # who runs the tests may be allowed everything
    monkeypatch.setattr(
        os, "access", lambda path, mode: not str(path).endswith(("locked", str(here))) and access(path, mode)
    )
    for pattern in ("in/**/*.jpg", "in/*/a.jpg", "in/[lo]*/*", str(here / "in" / "*" / "*.jpg")):
        found, left_out = search([pattern], None)
        assert len(found) == 1
        assert [(Path(path).name, why) for path, why in left_out.unreadable.items()] == [
            ("locked", "Permission denied")
        ]
    with pytest.raises(DatasetNotFoundError, match=r"no images in in/locked/\*\.jpg\. in/locked: Permission denied"):
        find_images(["in/locked/*.jpg"], None)
    assert not search(["in/open/*.jpg"], None).left_out.unreadable


def test_copies_have_names_that_no_two_share(here):
    for name in ("in/a/x.jpg", "in/b/x.jpg", "more/a/x.jpg", "x.jpg"):
        write_image(here / name)
    assert names(["in/**/*.jpg"]) == ["a/x.jpg", "b/x.jpg"]
    assert names(["in", "more"]) == ["in/a/x.jpg", "in/b/x.jpg", "more/a/x.jpg"]
    assert names(["in/a", "in/b"]) == ["in/a/x.jpg", "in/b/x.jpg"]
    assert names(["in/a/x.jpg", "in/b/x.jpg"]) == ["in/a/x.jpg", "in/b/x.jpg"]
    assert names([str(here / "in" / "a"), "in/b/*.jpg"]) == [str(here / "in" / "a" / "x.jpg")[1:], "in/b/x.jpg"]
    os.chdir("in")
    Path("x.jpg").write_bytes(Path("a/x.jpg").read_bytes())
    assert names(["x.jpg", "../x.jpg"]) == ["x.jpg", "x-2.jpg"]


def test_an_image_in_two_spellings_is_one(here):
    write_image(here / "in" / "a.jpg")
    assert paths(["in/a.jpg", "./in", str(here / "in"), "in/../in/*.jpg"]) == ["in/a.jpg"]


def test_names_on_standard_input(here, monkeypatch):
    for given, wanted in (
        (b"in/a.jpg\r\n\nb \xff.jpg\n", ["in/a.jpg", "b \udcff.jpg"]),
        ("\ufeffin/ä.jpg\n".encode(), ["in/ä.jpg"]),
        (b"in/a.jpg\0two\nlines.jpg\0", ["in/a.jpg", "two\nlines.jpg"]),
    ):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(given)))
        assert paths(["-"]) == wanted  # whether they are there is seen later: a row says so
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"\n")))
    with pytest.raises(DatasetNotFoundError, match="no images in -"):
        find_images(["-"], None)


def test_brackets_in_a_name_are_explained(here):
    write_image(here / "holiday [2020]" / "a.jpg")
    assert paths(["holiday [2020]"]) == ["holiday [2020]/a.jpg"]
    with pytest.raises(DatasetNotFoundError, match=r"brackets.*'holiday \[\[\]2020\]/\*\.jpg'"):
        find_images(["holiday [2020]/*.jpg"], None)
    assert paths(["holiday [[]2020]/*.jpg"]) == ["holiday [2020]/a.jpg"]


@pytest.mark.parametrize("source", ["x" * 300, "x" * 300 + "/*.jpg", "x" * 300 + ".csv", "in/" + "y" * 5000])
def test_a_name_that_no_file_can_have(here, source):
    with pytest.raises(DatasetNotFoundError, match="There is no file"):
        find_images([source], None)


def test_a_list_as_excel_writes_it(here):
    write_image(here / "in" / "a,b.jpg")
    Path("in/list.csv").write_bytes('\ufefffname;Größe\r\n"a,b.jpg";3,5\r\n'.encode())
    Path("in/tabs.csv").write_text("note\tfname\n1\ta,b.jpg\n")
    assert paths(["in/list.csv"]) == paths(["in/tabs.csv"]) == ["in/a,b.jpg"]
    Path("in/pointer.csv").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    Path("in/empty.csv").touch()
    for name, what in (("pointer", "git lfs pull"), ("empty", "no column 'fname'")):
        with pytest.raises(TableError, match=what):
            find_images([f"in/{name}.csv"], None)


def test_rows_of_a_list_without_a_name_are_counted(here):
    Path("list.csv").write_text("fname,note\na.jpg,1\n,2\n \nb.jpg\n\n")
    found, left_out = search(["list.csv"], None)
    assert [str(one.path) for one in found] == ["a.jpg", "b.jpg"]
    assert left_out.lines() == ["list.csv: 2 rows without a file name."]
    Path("two.csv").write_text("fname,fname\na.jpg,b.jpg\n")
    with pytest.raises(TableError, match="two columns are called 'fname'"):
        find_images(["two.csv"], None)


def test_an_empty_name_is_not_the_current_folder(here):
    write_image(here / "a.jpg")
    with pytest.raises(DatasetNotFoundError, match="name of what to predict is empty"):
        find_images([""], None)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_table_is_read_as_training_reads_it(tmp_path, encoding, delimiter):
    text = "fname,labels\ncaf\u00e9.jpg,\nb.jpg,\n,,\n\n".replace(",", delimiter)
    (tmp_path / "t.csv").write_text(text, encoding=encoding)
    searched = search([str(tmp_path / "t.csv")], None)
    assert [found.path.name for found in searched.found] == ["caf\u00e9.jpg", "b.jpg"]
    assert not searched.left_out.lines()
