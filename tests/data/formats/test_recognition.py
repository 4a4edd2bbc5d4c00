"""Each format is known by its content, alone of all: as a file, in a folder, and in a zip."""

import contextlib
import importlib
import zipfile

import pytest

from lightning_tasks.data.tables.formats.reader import ReadOptions
from lightning_tasks.data.tables.formats.readers import READERS, choose_reader
from lightning_tasks.data.tables.formats.source import Source
from lightning_tasks.data.tables.formats.zip_files import unpack_zip
from lightning_tasks.errors import LightningTasksError

# Test modules with an example of the format, by the reader that knows it.
EXAMPLES = {
    "celeba": "test_celeba",
    "coco": "test_coco",
    "csv": "test_csv_tables",
    "cvat": "test_cvat",
    "deeplabcut": "test_deeplabcut",
    "folders": "test_class_folders",
    "label-studio": "test_label_studio",
    "labelme": "test_labelme",
    "lists": "test_lists",
    "parquet": "test_parquet_files",
    "pts": "test_pts_files",
    "via": "test_via",
    "voc": "test_voc_xml",
    "yolo": "test_yolo",
}


def write_example(name, folder):
    folder.mkdir(parents=True, exist_ok=True)
    return importlib.import_module(f"{__package__}.{EXAMPLES[name]}").write_example(folder)


def test_every_reader_has_an_example():
    assert {reader.name for reader in READERS} == set(EXAMPLES)


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_of_its_own_format_alone(name, tmp_path):
    path = write_example(name, tmp_path / "data")
    assert [reader.name for reader in READERS if reader.recognises(Source(path))] == [name]
    said = choose_reader(Source(path)).read(Source(path), ReadOptions(workspace=tmp_path / "images"))
    assert said.images
    assert said.found
    assert all((said.folder / image.name).is_file() for image in said.images)


@pytest.mark.parametrize("name", EXAMPLES)
def test_so_is_the_folder_that_it_lies_in(name, tmp_path):
    write_example(name, tmp_path / "data")
    assert choose_reader(Source(tmp_path / "data")).name == name


@pytest.mark.parametrize("name", EXAMPLES)
def test_so_is_a_zip_of_it(name, tmp_path):
    write_example(name, tmp_path / "data")
    with zipfile.ZipFile(tmp_path / "data.zip", "w") as archive:
        for path in sorted((tmp_path / "data").rglob("*")):
            archive.write(path, path.relative_to(tmp_path))
    unpack_zip(tmp_path / "data.zip", tmp_path / "unpacked")
    source = Source(tmp_path / "unpacked")
    assert choose_reader(source).name == name
    read = choose_reader(source).read(source, ReadOptions(workspace=tmp_path / "images"))
    assert len(read.images) == len(
        READERS[[r.name for r in READERS].index(name)]
        .read(Source(tmp_path / "data"), ReadOptions(workspace=tmp_path / "more"))
        .images
    )


@pytest.mark.parametrize("name", EXAMPLES)
def test_what_is_read_as_another_format_is_told_if_it_fails(name, tmp_path):
    """`--format` may name any."""
    path = write_example(name, tmp_path / "data")
    for reader in READERS:
        for given in {path, tmp_path / "data"}:
            with contextlib.suppress(LightningTasksError):
                reader.read(Source(given), ReadOptions(workspace=tmp_path / "images"))
