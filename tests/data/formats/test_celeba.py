"""CelebA's own text files."""

import pytest

from lightning_tasks.data.tables.formats.reader import ReadOptions
from lightning_tasks.data.tables.formats.readers import read_annotations
from lightning_tasks.errors import TableError
from tests.fakes import write_image

ATTRIBUTES = "3\nBald Eyeglasses \n000001.jpg -1  1\n000002.jpg -1 -1\n000003.jpg  1  1\n"
LANDMARKS = (
    "3\nlefteye_x lefteye_y righteye_x righteye_y\n000001.jpg 69  109  106  113\n000002.jpg 69  110  107  112\n"
    "000003.jpg 76  112  104  106\n"
)
PARTITION = "000001.jpg 0\n000002.jpg 1\n000003.jpg 2\n"
HALVES = "000001.jpg 0\n000002.jpg 1\n000003.jpg 0\n"
IDENTITY = "000001.jpg 2880\n000002.jpg 2937\n000003.jpg 2880\n"


def write_example(folder, **files):
    """Write CelebA's folder with its images; return it."""
    for i in range(1, 4):
        write_image(folder / "img_align_celeba" / f"{i:06d}.jpg", seed=i)
    for name, text in {"list_attr_celeba": ATTRIBUTES, "list_eval_partition": HALVES, **files}.items():
        (folder / f"{name}.txt").write_text(text)
    return folder


def read(path):
    return read_annotations(path, ReadOptions())


@pytest.mark.parametrize("one_file", [False, True])
def test_attributes_are_labels(tmp_path, one_file):
    write_example(tmp_path, list_eval_partition=PARTITION, identity_CelebA=IDENTITY)
    found = read(tmp_path / "list_attr_celeba.txt" if one_file else tmp_path)
    assert [(i.name, list(i.labels), i.split, i.group) for i in found.images] == [
        ("000001.jpg", ["Eyeglasses"], "train", "2880"),
        ("000002.jpg", [], "val", "2937"),
        ("000003.jpg", ["Bald", "Eyeglasses"], "test", "2880"),
    ]
    assert found.folder == tmp_path / "img_align_celeba"
    assert not any(image.unknown for image in found.images)
    assert found.vocab == ("Bald", "Eyeglasses")


def test_landmarks_are_points_and_those_of_the_other_images_stay_out(tmp_path):
    other = LANDMARKS.replace("69", "169")
    write_example(tmp_path, list_landmarks_align_celeba=LANDMARKS, list_landmarks_celeba=other)
    found = read(tmp_path)
    assert found.point_names == ("lefteye", "righteye")
    assert found.images[0].objects[0].points == [69, 109, 2, 106, 113, 2]
    assert found.images[0].labels == ["Eyeglasses"]
    assert read(tmp_path / "list_landmarks_celeba.txt").images[0].objects[0].points[:3] == [169, 109, 2]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("list_attr_celeba", ATTRIBUTES.replace("3\nBald", "4\nBald"), "line 1 says 4 images, and 3 follow"),
        ("list_attr_celeba", ATTRIBUTES.replace("2.jpg -1 -1", "2.jpg -1"), "line 4: 1 cells for 2 columns"),
        ("list_attr_celeba", ATTRIBUTES.replace("2.jpg -1 -1", "2.jpg -1 0"), "line 4: '0' is neither 1 nor -1"),
        ("list_attr_celeba", ATTRIBUTES.replace("3.jpg", "2.jpg"), "line 5: 000002.jpg stands in line 4 already"),
        ("list_landmarks_align_celeba", LANDMARKS.replace("110", "nan"), "line 4: 'nan' is not a number"),
        ("list_landmarks_align_celeba", LANDMARKS.replace("3.jpg", "4.jpg"), "000003.jpg is not in both this list"),
        ("list_eval_partition", PARTITION.replace("jpg 1", "jpg 3"), "line 2: '3' is none of 0, 1 and 2"),
        ("list_eval_partition", PARTITION.replace("3.jpg", "4.jpg"), "000003.jpg is not in it"),
    ],
)
def test_what_is_wrong_is_told(tmp_path, name, text, message):
    with pytest.raises(TableError, match=rf"{name}.txt: .*{message}"):
        read(write_example(tmp_path, **{name: text}))


def test_the_partition_alone_says_nothing(tmp_path):
    write_example(tmp_path, list_eval_partition=PARTITION)
    with pytest.raises(TableError, match=r"Name list_attr_celeba.txt"):
        read(tmp_path / "list_eval_partition.txt")
