"""From each format of tables and text, as its tool lays it, to a table of ours and a config that `check` reads."""

import contextlib
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lightning_tasks.__main__ import console
from lightning_tasks.data.tables.formats.reader import ReadOptions
from lightning_tasks.data.tables.formats.readers import READERS
from lightning_tasks.data.tables.formats.source import Source
from lightning_tasks.errors import LightningTasksError
from tests.data.formats import test_celeba, test_csv_tables, test_deeplabcut, test_lists, test_pts_files

OURS = ("csv", "lists", "celeba", "pts", "deeplabcut")
DEEPLABCUT = [f"labeled-data/{video}/img{i:03d}.png,{video}" for video in ("b", "reach 1") for i in range(3)]


@pytest.mark.parametrize(
    ("name", "write_example", "table", "first_cells"),
    [
        ("csv", test_csv_tables.write_example, "labels.csv", ["0.jpg,cat;dog", "1.jpg,dog", "2.jpg,cat", "3.jpg,"]),
        ("lists", test_lists.write_example, "labels.csv", ["0.jpg,train,cat;dog", "1.jpg,train,dog"]),
        ("celeba", test_celeba.write_example, "labels.csv", ["000001.jpg,train,Eyeglasses", "000002.jpg,val,"]),
        ("pts", test_pts_files.write_example, "points.csv", ["indoor_001.png,1.0,2.0,9.5,19.25,2.0,3.0"]),
        ("deeplabcut", test_deeplabcut.write_example, "points.csv", DEEPLABCUT[:5]),
    ],
)
def test_a_config_is_written_that_reads(tmp_path, monkeypatch, capsys, name, write_example, table, first_cells):
    monkeypatch.chdir(tmp_path)
    path = write_example(Path("theirs"))
    assert [reader.name for reader in READERS if reader.recognises(Source(path))] == [name]
    assert console(["init", str(path), "--output", "c.yaml"]) == 0
    lines = (tmp_path / table).read_text().splitlines()[1:]
    assert all(line.startswith(wanted) for line, wanted in zip(lines, first_cells, strict=False))
    arguments = yaml.safe_load((tmp_path / "c.yaml").read_text())["data"]["init_args"]
    assert arguments["images"].startswith("theirs")
    capsys.readouterr()
    assert console(["check", "--config", "c.yaml", "--min_positives", "1"]) == 0, capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "write_example"),
    [
        ("csv", test_csv_tables.write_example),
        ("celeba", test_celeba.write_example),
        ("pts", test_pts_files.write_example),
        ("deeplabcut", test_deeplabcut.write_example),
    ],
)
def test_a_folder_around_it_is_known(tmp_path, name, write_example):
    write_example(tmp_path)
    assert [reader.name for reader in READERS if reader.recognises(Source(tmp_path))] == [name]


HEADERS = st.lists(
    st.sampled_from(
        (
            *("image", "fname", "label", "labels", "x", "y", "point", "a_x", "a_y", "a_v", "split", "is_valid", "3"),
            *("group", "xmin", "ymin", "xmax", "ymax", "cat", "dog", "age", "confidence", "difficult", "scorer"),
            *("sep=", "", "Unnamed: 0"),
        )
    ),
    max_size=5,
)
CELLS = st.sampled_from(
    (
        *("a.jpg", "b.png", "a", "1", "0", "-1", "nan", "x;y", "[", "['a']", "train", "True", "1e999", "0.5", ""),
        *("../a.jpg", '"', "None", "{", "}", "coords", "bodyparts", "\\a.jpg", "/", "cat dog", "version: 1"),
        *("n_points: 1", "a.jpg 1 2"),
    )
)
LINES = st.lists(st.one_of(HEADERS, st.lists(CELLS, max_size=5)), max_size=5)


@pytest.mark.parametrize("reader", [r for r in READERS if r.name in OURS], ids=lambda reader: reader.name)
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    header=HEADERS,
    lines=LINES,
    delimiter=st.sampled_from([",", ";", "\t", " "]),
    odd=st.sampled_from(["", "\0", "\r", "é"]),
)
def test_whatever_stands_in_a_file_only_our_own_errors_come_out(tmp_path, reader, header, lines, delimiter, odd):
    path = tmp_path / ("t.pts" if reader.name == "pts" else "t.txt")
    path.write_text("\n".join(delimiter.join(cells) for cells in (header, *lines)) + odd, encoding="utf-8")
    source = Source(path)
    reader.recognises(source)
    with contextlib.suppress(LightningTasksError):
        reader.read(source, ReadOptions())
