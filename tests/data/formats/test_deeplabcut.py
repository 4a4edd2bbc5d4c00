"""DeepLabCut's csv, with pandas' reading of it as the oracle."""

import numpy as np
import pandas as pd
import pytest

from lightning_tasks.data.tables.formats.reader import ReadOptions
from lightning_tasks.data.tables.formats.readers import read_annotations
from lightning_tasks.errors import TableError
from tests.fakes import write_image


def frame_table(n_individuals, one_cell):
    """Return a table as DeepLabCut makes it before it calls to_csv."""
    rng = np.random.default_rng(0)
    names = [("labeled-data", video, f"img{i:03d}.png") for video in ("reach 1", "b") for i in range(3)]
    index = ["/".join(name) for name in names] if one_cell else pd.MultiIndex.from_tuples(names)
    levels = [
        ["me"],
        *([[f"mouse{i}" for i in range(n_individuals)]] if n_individuals else []),
        ["nose", "tail"],
        ["x", "y"],
    ]
    columns = ["scorer", *(["individuals"] if n_individuals else []), "bodyparts", "coords"]
    header = pd.MultiIndex.from_product(levels, names=columns)
    numbers = rng.uniform(0, 20, (len(names), len(header)))
    numbers[1, :2] = np.nan
    numbers[2] = np.nan  # a frame that nobody labelled
    return pd.DataFrame(numbers, index=index, columns=header)


def write_project(folder, table):
    """Write a table a video, as DeepLabCut lays them, with the frames."""
    names = [name.split("/") if isinstance(name, str) else list(name) for name in table.index]
    for video in dict.fromkeys(name[1] for name in names):
        for i, name in enumerate(names):
            if name[1] == video:
                write_image(folder.joinpath(*name), seed=i)
        here = folder / "labeled-data" / video / "CollectedData_me.csv"
        table[[name[1] == video for name in names]].to_csv(here)
    return folder


def write_example(folder):
    """Write a project of two videos; return its folder."""
    return write_project(folder, frame_table(0, one_cell=False))


def read(path, **options):
    return read_annotations(path, ReadOptions(**options))


@pytest.mark.parametrize("n_individuals", [0, 1, 2])
@pytest.mark.parametrize("one_cell", [True, False])
def test_what_pandas_reads_is_read(tmp_path, n_individuals, one_cell):
    write_project(tmp_path, frame_table(n_individuals, one_cell))
    found = read(tmp_path)
    assert found.point_names == ("nose", "tail")
    assert [image.group for image in found.images] == ["b"] * 3 + ["reach 1"] * 3
    tables = [
        pd.read_csv(path, header=[*range(4 if n_individuals else 3)], index_col=[0] if one_cell else [0, 1, 2])
        for path in sorted(tmp_path.rglob("*.csv"))
    ]
    frames = [frame for table in tables for frame in table.iterrows()]
    for image, (index, row) in zip(found.images, frames, strict=True):
        assert image.name == (index if one_cell else "/".join(index))
        animals = row.to_numpy().reshape(-1, 2, 2)
        animals = animals[~np.isnan(animals).all((1, 2))]
        got = np.array([list(thing.points) for thing in image.objects]).reshape(-1, 2, 3)
        assert np.array_equal(got[:, :, 2], np.where(np.isnan(animals[:, :, 0]), 0, 2))
        assert np.array_equal(got[:, :, :2][got[:, :, 2] > 0], animals[got[:, :, 2] > 0])


def test_one_table_alone(tmp_path):
    write_example(tmp_path)
    found = read(tmp_path / "labeled-data" / "b" / "CollectedData_me.csv")
    assert found.folder == tmp_path / "labeled-data" / "b"
    assert [(image.name, image.group) for image in found.images] == [(f"img{i:03d}.png", "b") for i in range(3)]


TEXT = "scorer,me,me\nbodyparts,nose,nose\ncoords,x,y\nlabeled-data/v/a.png,1,2\n"


def test_backslashes_and_unique_body_parts(tmp_path):
    text = "scorer,me,me,me,me\nindividuals,m1,m1,single,single\nbodyparts,nose,nose,door,door\ncoords,x,y,x,y\n"
    (tmp_path / "d.csv").write_text(text + "labeled-data\\v\\a.png,1,2,3,4\nlabeled-data\\v\\b.png,,,3,4\n")
    found = read(tmp_path)
    assert [image.name for image in found.images] == ["labeled-data/v/a.png", "labeled-data/v/b.png"]
    assert [[list(thing.points) for thing in image.objects] for image in found.images] == [
        [[1, 2, 2, 0, 0, 0]],
        [[0, 0, 0, 3, 4, 2]],
    ]
    assert found.left_out == {"body parts of no animal, beside animals": 1}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (TEXT.replace("1,2", "1,x"), "line 4: 'x' is not a number"),
        (TEXT.replace("1,2", "1,"), "line 4: 'nose' has only one of x and y"),
        (TEXT.replace("1,2", "1"), "line 4: 2 cells, and the header has 3"),
        (TEXT.replace("x,y", "x,x"), "line 3: two columns are of the same point"),
        (TEXT + TEXT.splitlines()[-1], "line 5: labeled-data/v/a.png stands in line 4 already"),
        (TEXT.replace("nose,nose", "nose"), "the header's rows are not equally long"),
        (TEXT.replace("coords,x", "coords,,x"), "coords must begin in the second or the fourth column"),
    ],
)
def test_what_is_wrong_is_told(tmp_path, text, message):
    (tmp_path / "CollectedData_me.csv").write_text(text)
    with pytest.raises(TableError, match=rf"CollectedData_me.csv: .*{message}"):
        read(tmp_path / "CollectedData_me.csv")
