"""What formats say of the size of their images, by which `convert` knows that they are the ones that were annotated."""

import pytest
from PIL import Image

from lightning_tasks.data.tables.formats.reader import ReadOptions
from lightning_tasks.data.tables.formats.readers import read_annotations
from lightning_tasks.data.tables.formats.stated_sizes import stated_size
from tests.data.formats.test_recognition import write_example


@pytest.mark.parametrize("name", ["coco", "cvat", "label-studio", "labelme"])
def test_a_format_says_the_size_of_its_images(name, tmp_path):
    found = read_annotations(write_example(name, tmp_path), ReadOptions())
    assert found.images
    for image in found.images:
        assert image.size_px == Image.open(found.folder / image.name).size


@pytest.mark.parametrize("size", [(None, 3), ("", ""), (0, 0), (-1, 5), ("x", 3), ("nan", 3), (3, "inf"), ([], {})])
def test_what_is_no_size_is_none(size):
    assert stated_size(*size) is None
    assert stated_size("40", 30.0) == (40, 30)
