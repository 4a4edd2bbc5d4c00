"""Points of another unit, placeholders, and splits without a point that counts."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightning_tasks import KeypointDataModule
from lightning_tasks.__main__ import console
from lightning_tasks.errors import LightningTasksWarning, TableError
from lightning_tasks.tasks.keypoints.checks import TablePoints, find_point_problems, image_sizes_px
from lightning_tasks.verbs.check import check
from tests.fakes import write_image, write_points

CONF = Path(__file__).parents[2] / "conf"

# Where the points are: in pixels of images of 64×48, spread over all of each.
SPREAD = np.random.default_rng(0).uniform(0, 1, (12, 2, 2)) * (63, 47)


def write(root, points_px, size=(48, 64), end="", names=("l", "r")):
    """Write a table of points (N, P, 2), the last quarter for validation, and its images."""
    header = ",".join(f"{name}_x,{name}_y" for name in names)
    rows = []
    for i, place in enumerate(points_px):
        cells = ",".join("" if np.isnan(value) else f"{value:.5g}" for value in np.ravel(place))
        rows.append(f"{i}.png,{i >= len(points_px) * 3 / 4},{cells}")
        write_image(root / f"{i}.png", size, seed=i)
    (root / "points.csv").write_text("\n".join([f"fname,is_valid,{header}", *rows]) + end)
    return KeypointDataModule(str(root), size=(24, 32), num_workers=0, cache="none", batch_size=4)


def problems_of(data):
    return data.find_problems(data.table, *data.split)


def test_points_in_pixels_are_well(tmp_path):
    assert problems_of(write(tmp_path, SPREAD)) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: p / (64, 48), r"24 annotated points lie on the scale from 0 to 1, .* Multiply x by the width"),
        (lambda p: p / (64, 48) * 1.2, "on the scale from 0 to 1"),  # some a little outside
        (lambda p: p / (64, 48) * 2 - 1, r"on the scale from -1 to 1, .* \(x \+ 1\) \* width / 2"),
        (lambda p: p * 4, r"look like pixels of images about 4 times as large"),
        (lambda p: p * (2, 2.2), r"look like pixels of images about 2\.[012] times as large"),
        (lambda p: p - (32, 24), "counted from the middle"),
        (lambda p: p / (64, 48) - 0.5, r"from -0.5 to 0.5, .* \(x \+ 0.5\) \* width"),
        (lambda p: p * (1, -1), r"with y counted from the top they would lie inside. Take the minus"),
    ],
)
def test_another_unit_is_refused_by_every_verb(tmp_path, change, message):
    data = write(tmp_path, change(SPREAD))
    for call in (lambda: data.setup("fit"), lambda: data.setup("validate"), data.describe):
        with pytest.raises(TableError, match=rf"points\.csv: .*{message}"):
            call()
    assert [problem.kind for problem in check(data, max_distance=0)] == ["unit"]


def test_the_test_table_is_asked_too_and_rows_marked_test_are_not_asked_of_the_others(tmp_path):
    data = write(tmp_path, SPREAD)
    lines = (tmp_path / "points.csv").read_text().splitlines()
    half = [line.split(",") for line in lines[1:]]
    normalised = [f"{cells[0]},test,.1,.2,.3,.4" for cells in half]
    (tmp_path / "test.csv").write_text("\n".join(["fname,split,l_x,l_y,r_x,r_y", *normalised]))
    data = KeypointDataModule(str(tmp_path), test_csv="test.csv", size=(24, 32), num_workers=0, cache="none")
    data.setup("validate")
    with pytest.raises(TableError, match=r"test\.csv: 24 annotated points lie on the scale from 0 to 1"):
        data.setup("test")


def changed(change):
    points = SPREAD.copy()
    change(points)
    return points


def set_to(*index_and_value):
    *index, value = index_and_value

    def change(points):
        points[tuple(index)] = value

    return changed(change)


@pytest.mark.parametrize(
    ("points", "message"),
    [
        (
            set_to(slice(3, 6), 1, 0.0),
            r"3 annotated points in 3 rows lie at exactly \(0, 0\), first row 5 \(3\.png",
        ),
        (set_to(slice(3, 5), 0, -1.0), r"2 annotated points in 2 rows lie at exactly \(-1, -1\), first row 5"),
        (set_to(7, slice(None), 0.4), r"2 annotated points in 1 row lie within 1.5 pixels .*row 9 .* from 0 to 1\?"),
        (SPREAD / 2.1, r"all 24 annotated points lie in the upper left quarter .* Are they pixels of images that were"),
        (set_to(slice(0, 9), 1, np.nan), r"no row for training has one of these points annotated .*means nothing: 'r'"),
        (set_to(slice(9, 12), 1, np.nan), r"no row for validation has one of these .*scores say nothing of them: 'r'"),
        (
            set_to(2, 1, (70, 9)),
            r"1 annotated point in 1 row lies outside their images, first row 4 \(2\.png: r",
        ),
    ],
)
def test_what_is_doubtful_is_told_in_a_line_and_trained_on(tmp_path, points, message):
    data = write(tmp_path, points)
    with pytest.warns(LightningTasksWarning, match=message):
        data.setup("fit")
    assert not any(problem.is_error for problem in problems_of(data))


def test_x_and_y_swapped_are_told_and_refused_where_most_points_lie_outside(tmp_path):
    wide = np.random.default_rng(0).uniform(0, 1, (12, 2, 2)) * (63, 15)
    data = write(tmp_path / "most", wide[..., ::-1], size=(16, 64))
    (error,) = problems_of(data)
    assert (error.kind, error.is_error) == ("unit", True)
    assert "with x and y swapped they would lie inside" in error.message
    data = write(tmp_path / "some", SPREAD[..., ::-1] * (47 / 63, 1) + (8, 0))
    (doubt,) = [problem for problem in problems_of(data) if problem.kind == "outside"]
    assert doubt.way_out == "With x and y swapped they would lie inside. Rename the columns."


def test_one_column_of_shares_among_pixels_is_doubtful(tmp_path):
    (doubt,) = problems_of(write(tmp_path / "x", SPREAD / ((64, 1), (1, 1))))
    assert "between 0 and 1, others do not: 'l_x'" in doubt.message
    border = SPREAD.copy()
    border[:, 0] = np.random.default_rng(0).uniform(0, 0.2, (12, 2))  # the corner of a page
    assert problems_of(write(tmp_path / "border", border)) == []


@pytest.mark.parametrize("corner", [(1, 1), (0, 1), (0, 0)])
def test_a_pixel_in_the_corner_is_a_pixel(tmp_path, corner):
    data = write(tmp_path, np.round(set_to(slice(3, 4), slice(None), corner))[:, :1], names=["l"])
    assert problems_of(data) == []


def test_what_is_not_annotated_is_not_taken_for_another_unit(tmp_path):
    data = write(tmp_path, set_to(slice(0, 12), 0, 0.0) * (np.arange(12) % 6 == 0)[:, None, None])
    assert [problem.kind for problem in problems_of(data)] == ["placeholder"]
    data = write(tmp_path, set_to(slice(3, 5), slice(None), -1.0)[:, :1], names=["l"])
    assert [problem.kind for problem in problems_of(data)] == ["outside", "placeholder"]


def test_percent_are_doubtful_in_large_images(tmp_path):
    data = write(tmp_path, SPREAD / (64, 48) * 100, size=(240, 320))
    assert [problem.way_out for problem in problems_of(data)] == ["Are they percent?"]


@pytest.mark.parametrize(
    ("points", "message"),
    [
        (set_to(slice(0, 9), np.nan), "in the 9 rows for training no point is annotated: nothing can be learnt"),
        (set_to(slice(9, 12), np.nan), "in the 3 rows for validation no point is annotated: it can score nothing"),
        (set_to(slice(0, 9), (-5.0, 3)), "in the 9 rows for training all points lie outside their images"),
        (set_to(slice(None), np.nan), "for training no point is annotated"),
        (set_to(slice(None), 0.0), r"24 annotated points in 12 rows lie at exactly \(0, 0\)"),
    ],
)
def test_a_split_without_a_point_that_counts_is_refused(tmp_path, points, message):
    with pytest.raises(TableError, match=message):
        write(tmp_path, points).setup("fit")


def test_a_test_table_without_points_is_told_and_predicted(tmp_path):
    write(tmp_path, SPREAD)
    (tmp_path / "test.csv").write_text("fname,l_x,l_y,r_x,r_y\n0.png,,,,\n")
    data = KeypointDataModule(str(tmp_path), test_csv="test.csv")
    with pytest.warns(LightningTasksWarning, match="in the 1 rows for testing no point is annotated"):
        data.setup("test")


def test_the_command_line_refuses_before_it_trains(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_points(tmp_path / "root", ["fname,nose_x,nose_y", *(f"{i}.jpg,0.{i + 1},0.5" for i in range(8))])
    config = ["--config", str(CONF / "keypoints.yaml"), "--data.root", "root", "--model.backbone", "test_resnet"]
    assert console(["fit", *config, "--model.pretrained", "false"]) == 2
    assert "8 annotated points lie on the scale from 0 to 1, not in pixels" in capsys.readouterr().err
    assert not list((tmp_path / "runs").rglob("*.ckpt"))


def test_sizes_are_of_headers_and_those_that_cannot_be_read_are_unknown(tmp_path):
    write_image(tmp_path / "a.png", (10, 20))
    (tmp_path / "b.png").write_text("no image")
    sizes = image_sizes_px(tmp_path, ["a.png", "b.png", "none.png", "a.png"])
    np.testing.assert_array_equal(sizes, [[20, 10], [np.nan, np.nan], [np.nan, np.nan], [20, 10]])


@given(
    st.lists(st.tuples(*[st.floats(-1e9, 1e9, width=32) | st.just(np.nan)] * 4), min_size=2, max_size=8),
    st.sampled_from([(1, 1), (30, 40), (np.nan, np.nan)]),
)
def test_any_points_are_judged_without_a_traceback(places, size):
    positions = np.array(places, np.float32).reshape(-1, 2, 2)
    positions[np.isnan(positions).any(-1)] = np.nan
    n = len(positions)
    points = TablePoints(Path("t.csv"), ["a", "b"], positions, ["f.jpg"] * n, np.full((n, 2), size, np.float32))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for problem in find_point_problems(points, {"training": np.arange(n - 1), "validation": np.array([n - 1])}):
            assert problem.message.startswith("t.csv: ")
