"""What the verb `predict` leaves, wherever it is told to write, and when it is stopped."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import lightning_tasks.verbs.predict as verb
from lightning_tasks.__main__ import console
from lightning_tasks.data.images.decode import read_image
from lightning_tasks.deploy.prediction_table import Row, describe_renamed_columns, write_rows
from lightning_tasks.errors import ConfigError
from lightning_tasks.tasks.keypoints.output import PointFormat, PointPrediction
from lightning_tasks.tasks.multilabel.output import LabelFormat, LabelPrediction
from tests.fakes import write_image

QUIET = ["--device", "cpu", "--progress", "false"]


@pytest.fixture
def best(labels_run):
    return str(labels_run[0] / labels_run[1])


@pytest.fixture
def images(tmp_path, monkeypatch):
    """Four images in `images`, two of them of one name, and the current folder beside."""
    monkeypatch.chdir(tmp_path)
    for i, name in enumerate(("x.jpg", "a/x.jpg", "b/x.jpg", "b/y.png")):
        write_image(tmp_path / "images" / name, (24 + i, 32), seed=i)
    return tmp_path / "images"


def rows(path="predictions.csv"):
    with Path(path).open(newline="", encoding="utf-8-sig") as file:
        return list(csv.DictReader(file))


def drawn(folder="drawn"):
    return sorted(str(path.relative_to(folder)) for path in Path(folder).rglob("*") if path.is_file())


def test_copies_lie_apart_and_never_become_images(best, images, capsys):
    os.chdir(images)
    for _ in range(2):
        assert console(["predict", best, ".", "--annotate", "drawn", *QUIET]) == 0
        assert [row["fname"] for row in rows()] == ["a/x.jpg", "b/x.jpg", "b/y.png", "x.jpg"]
        assert drawn() == ["a/x.jpg.png", "b/x.jpg.png", "b/y.png.png", "x.jpg.png"]
    assert "4 that this program has drawn" in capsys.readouterr().out
    assert read_image(Path("drawn/b/x.jpg.png")).shape == (26, 32, 3)  # this image, not another of its name
    assert console(["predict", best, "**/*.[jp][pn]g", "--annotate", ".", *QUIET]) == 0  # among the images
    assert console(["predict", best, ".", *QUIET]) == 0
    assert len(rows()) == 4


def test_no_output_is_written_over_an_image_or_a_list(best, images, capsys):
    write_image(images / "x.jpg.png")
    before = (images / "x.jpg.png").read_bytes()
    assert console(["predict", best, "images", "--annotate", "images", *QUIET]) == 2
    assert "would write over images/x.jpg.png" in capsys.readouterr().err
    assert (images / "x.jpg.png").read_bytes() == before
    assert console(["predict", best, "images/x.jpg", "--annotate", "images", *QUIET]) == 2  # nor another of the user's
    assert "which this program has not drawn" in capsys.readouterr().err
    assert (images / "x.jpg.png").read_bytes() == before
    Path("list.csv").write_text("fname\nimages/x.jpg\n")
    assert console(["predict", best, "list.csv", "--output", "./list.csv", *QUIET]) == 2
    assert "is read here, and would be written over" in capsys.readouterr().err
    assert Path("list.csv").read_text() == "fname\nimages/x.jpg\n"


def test_the_place_is_looked_at_first(images, capsys, monkeypatch, tmp_path):
    """Without a checkpoint: it would be missed next."""
    Path("folder.csv").mkdir()
    os.mkfifo("pipe.csv")
    for output, said in (
        ("folder.csv", "it is a folder"),
        ("pipe.csv", "it is no plain file"),
        ("images/x.jpg/p.csv", "Not a directory"),
        ("x" * 300 + ".csv", "File name too long"),
        ("new/" + "x" * 300 + "/p.csv", "File name too long"),
    ):
        assert console(["predict", "none.ckpt", "images", "--output", output]) == 2
        assert said in capsys.readouterr().err
    assert not Path("new").exists()

    def refuse(**where):
        raise OSError(30, "Read-only file system", str(where["dir"]))

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)  # who runs the tests may be allowed everything
    for option in ("--output", "--annotate"):
        assert console(["predict", "none.ckpt", "images", option, "new/p.csv"]) == 2
        assert "Read-only file system" in capsys.readouterr().err


def test_a_copy_that_cannot_be_written_costs_itself_alone(best, images, capsys):
    (images / "b" / "y.png").rename(images / "b" / ("y" * 251 + ".png"))
    assert console(["predict", best, "images", "--annotate", "drawn", *QUIET]) == 1
    assert [row["error"] for row in rows()] == [""] * 4
    assert len(drawn()) == 3
    assert "File name too long" in capsys.readouterr().out


def test_a_name_that_is_no_text_in_every_table(best, images, capsys):
    pytest.importorskip("pyarrow")
    for ending in (b"\xe4.jpg", b"\xf6.jpg"):
        os.link(images / "x.jpg", os.fsencode(images) + b"/" + ending)
    (images / "a" / os.fsdecode(b"cut\xff.jpg")).write_bytes(b"no image")
    wanted = ["images/a/cut\\udcff.jpg", "images/\\udce4.jpg", "images/\\udcf6.jpg"]
    for output in ("p.csv", "p.json", "p.parquet", "e.csv"):
        more = ["--excel", "true"] if output == "e.csv" else []
        arguments = ["predict", best, "images", "--annotate", "drawn", "--output", output, *more, *QUIET]
        assert console(arguments) == 1
    assert {row["fname"] for row in rows("p.csv")} >= set(wanted)
    assert {entry["fname"] for entry in json.loads(Path("p.json").read_text(encoding="utf-8"))} >= set(wanted)
    assert set(pd.read_parquet("p.parquet")["fname"]) >= set(wanted)
    assert "cut\\udcff.jpg: is not an image" in capsys.readouterr().out
    assert len(drawn()) == 6
    raw = os.fsdecode(b"\xe4")
    named = ["predict", best, f"images/{raw}.jpg", "--annotate", f"{raw}d", "--output", f"{raw}.parquet", *QUIET]
    assert console(named) == 0
    assert pd.read_parquet(io.BytesIO(Path(f"{raw}.parquet").read_bytes()))["fname"].tolist() == wanted[1:2]
    assert drawn(f"{raw}d") == [f"{raw}.jpg.png"]
    assert console(["export", best, "--output", f"{raw}.pt2", "--format", "torch"]) == 2
    assert "names in UTF-8 alone" in capsys.readouterr().err


def test_a_checkpoint_in_a_folder_whose_name_is_no_text(best, images):
    folder = Path(os.fsdecode(b"r\xfcns"))
    folder.mkdir()
    os.link(best, folder / "best.ckpt")
    assert console(["predict", str(folder / "best.ckpt"), "images", *QUIET]) == 0
    assert console(["validate", str(folder / "best.ckpt"), "--data.root", str(Path(best).parents[4] / "root")]) == 0


def labels(vocab):
    return LabelFormat(tuple(vocab), np.full(len(vocab), 0.5, np.float32))


VOCAB = ["=cmd", "error", "error_", "fname", "predicted", "-1"]


def label_rows():
    probabilities = np.linspace(0.1, 0.9, len(VOCAB), dtype=np.float32)
    said = LabelPrediction(tuple(VOCAB), probabilities, probabilities > 0.5)
    return [Row(Path("@a.jpg"), Path("@a.jpg"), said, None), Row(Path("b"), Path("b"), None, "=b")]


def test_labels_that_are_called_like_columns(tmp_path):
    columns = ["fname", "predicted", "error", "=cmd", "error__", "error_", "fname_", "predicted_", "-1"]
    pytest.importorskip("pyarrow")
    for name in ("p.csv", "p.parquet"):
        write_rows(tmp_path / name, label_rows(), labels(VOCAB))
    with (tmp_path / "p.csv").open(newline="") as file:
        header, first, _ = csv.reader(file)
    assert header == columns
    assert first[4:9] == ["0.260000", "0.420000", "0.580000", "0.740000", "0.900000"]
    table = pd.read_parquet(tmp_path / "p.parquet")
    assert list(table.columns) == columns
    assert table["error__"][0] == pytest.approx(0.26)
    said = describe_renamed_columns(Path("p.csv"), labels(VOCAB))
    assert said == [
        f"{name!r} is in the column {name + more!r}"
        for name, more in (("error", "__"), ("fname", "_"), ("predicted", "_"))
    ]
    points = PointFormat(("error", "fname"), None, (8, 8))
    assert (
        describe_renamed_columns(Path("p.csv"), points) == describe_renamed_columns(Path("p.json"), labels(VOCAB)) == []
    )


def test_excel_calculates_nothing_and_numbers_stay_numbers(tmp_path):
    write_rows(tmp_path / "p.csv", label_rows(), labels(VOCAB), excel=True)
    content = (tmp_path / "p.csv").read_bytes()
    assert content.startswith(b"\xef\xbb\xbffname,predicted,error,'=cmd,")
    assert b"\n'@a.jpg," in content
    assert b",'=b," in content
    points = PointPrediction(("l",), np.float32([[-3.5, 2]]))
    write_rows(
        tmp_path / "p.csv",
        [Row(Path("+1"), Path("a"), points, None)],
        PointFormat(("l",), None, (8, 8)),
        excel=True,
    )
    assert (tmp_path / "p.csv").read_text("utf-8-sig") == "fname,error,l_x,l_y\n+1,,-3.500000,2.000000\n"


def test_a_table_on_standard_output_is_utf_8_whatever_the_terminal_is(monkeypatch):
    written = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(written, encoding="latin-1", errors="backslashreplace"))
    write_rows(Path("-"), [Row(Path("猫"), Path("a"), None, "ï")], labels(["ä"]), excel=True)
    assert written.getvalue() == "\ufefffname,predicted,error,ä\n猫,,ï,\n".encode()


def test_a_table_on_standard_output_and_names_on_standard_input(best, images, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"images/x.jpg\nimages/gone.jpg\n")))
    assert console(["predict", "--output", "-", best, "-", *QUIET]) == 1  # options before the words, too
    out, err = capsys.readouterr()
    assert out.splitlines()[0] == "fname,predicted,error,cat,dog"
    assert [line.partition(",")[0] for line in out.splitlines()[1:]] == ["images/x.jpg", "images/gone.jpg"]
    assert "-  (1 images)" in err
    assert "gone.jpg: cannot be read" in err
    assert not list(Path.cwd().glob("*.csv"))
    assert console(["predict", best, "images", "--excel", "true", "--output", "p.json", *QUIET]) == 2
    assert "--excel is for csv" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("stop", "code"), [(KeyboardInterrupt(), 130), (SystemExit(143), 143), (ConfigError("NaN"), 2)]
)
def test_what_was_predicted_before_a_stop_is_kept(best, images, capsys, monkeypatch, stop, code):
    really, calls = verb._rows, []

    def stopped(*given):
        calls.append(given)
        if len(calls) == 3:
            raise stop
        return really(*given)

    monkeypatch.setattr(verb, "_rows", stopped)
    try:
        found = console(["predict", best, "images", "--batch_size", "1", *QUIET])
    except SystemExit as left:
        found = left.code
    assert found == code
    assert [row["fname"] for row in rows()] == ["images/a/x.jpg", "images/b/x.jpg"]
    assert "2 of 4 images were predicted; predictions.csv holds these" in capsys.readouterr().out
    calls[:] = [(), ()]
    with pytest.raises((SystemExit, RuntimeError)) if code == 143 else pytest.MonkeyPatch.context():
        console(["predict", best, "images", *QUIET])
    assert len(rows()) == 2  # nothing was predicted, so what was there stays


@pytest.mark.processes
def test_a_reader_that_has_seen_enough(best, images):
    command = f"{sys.executable} -m lightning_tasks predict {best} images --output - {' '.join(QUIET)} | true"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert "predictions      -" not in done.stderr
    assert "Error" not in done.stderr, done.stderr


@pytest.mark.processes
def test_ctrl_c_in_a_process_of_its_own(best, images):
    for i in range(3000):
        os.link(images / "x.jpg", images / f"{i}.jpg")
    arguments = ["predict", best, "images", "--annotate", "drawn", "--batch_size", "4", *QUIET]
    process = subprocess.Popen(
        [sys.executable, "-m", "lightning_tasks", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # tests may run in the background
    )  # fmt: skip
    try:
        began = time.monotonic()
        while not list(Path().glob("drawn/*.png")):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() - began < 120
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert "stopped by Ctrl-C" in err
    assert 4 <= len(rows()) < 3004
    assert f"{len(rows()):,} of 3,004 images were predicted" in out
    assert not list(Path().glob(".new*"))


def test_an_empty_name_is_no_folder_for_copies(images, capsys):
    assert console(["predict", "none.ckpt", "images", "--annotate", ""]) == 2
    assert "--annotate names no folder" in capsys.readouterr().err
