"""300W's .pts files."""

import pytest

from lightning_tasks.data.tables.formats.reader import ReadOptions
from lightning_tasks.data.tables.formats.readers import read_annotations
from lightning_tasks.errors import TableError
from tests.fakes import write_image

PTS = "version: 1\nn_points:  3\n{\n2.000000 3.000000 \n10.500000 20.250000\n3 4\n}\n"


def write_example(folder):
    """Write two images with their points; return the folder."""
    for i, name in enumerate(("indoor_001", "indoor_002")):
        write_image(folder / f"{name}.png", seed=i)
        (folder / f"{name}.pts").write_text(PTS)
    (folder / "indoor_002.pts").write_text(PTS.replace("10.5", "11.5"))
    return folder


def read(path, **options):
    return read_annotations(path, ReadOptions(**options))


def test_the_first_pixel_becomes_0(tmp_path):
    write_example(tmp_path)
    write_image(tmp_path / "more.jpg")
    found = read(tmp_path)
    assert [image.name for image in found.images] == ["indoor_001.png", "indoor_002.png"]
    assert found.images[0].objects[0].points == [1, 2, 2, 9.5, 19.25, 2, 2, 3, 2]
    assert found.point_names == ("p0", "p1", "p2")
    assert found.left_out == {"images without a .pts file": 1}
    assert "1 is subtracted" in found.notes[0]


def test_one_file_and_images_elsewhere(tmp_path):
    write_image(tmp_path / "images" / "a.jpg")
    (tmp_path / "points").mkdir()
    (tmp_path / "points" / "a.pts").write_text(PTS.replace("version: 1", "VERSION:1").replace("\n", "\r\n"))
    assert [image.name for image in read(tmp_path / "points" / "a.pts").images] == ["a.jpg"]
    assert [image.name for image in read(tmp_path / "points", images=tmp_path / "images").images] == ["a.jpg"]
    assert [image.name for image in read(tmp_path).images] == ["images/a.jpg"]


def test_folders_of_splits_and_names_with_zeros(tmp_path):
    points = "\n".join(f"{i} {i}" for i in range(68))
    for name in ("trainset/a", "testset/a"):
        write_image(tmp_path / f"{name}.jpg")
        (tmp_path / f"{name}.pts").write_text(f"version: 1\nn_points: 68\n{{\n{points}\n}}\n")
    found = read(tmp_path)
    assert [(i.name, i.split) for i in found.images] == [("testset/a.jpg", "test"), ("trainset/a.jpg", "train")]
    assert (found.point_names[0], found.point_names[-1]) == ("p00", "p67")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (PTS.replace("3 4", "3 x"), "line 6: 'x' is not a number"),
        (PTS.replace("3 4", "3 inf"), "line 6: 'inf' is not a number"),
        (PTS.replace("3 4", "3"), "line 6: 1 numbers, and a point has 2"),
        (PTS.replace("3 4\n", ""), "it says 3 points, and 2 follow"),
        (PTS.replace("}", ""), "a .pts file says n_points, and has its points between { and }"),
        (PTS.replace("n_points:  3", "n_points: 2").replace("3 4\n", ""), "it has 2 points, and indoor_001.pts has 3"),
    ],
)
def test_what_is_wrong_is_told(tmp_path, text, message):
    write_example(tmp_path)
    (tmp_path / "indoor_002.pts").write_text(text)
    with pytest.raises(TableError, match=rf"indoor_002.pts: {message}"):
        read(tmp_path)
