"""Files of features: whole or not there, made once, and bounded."""

import os
import signal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lightning_tasks.errors import ConfigError, TrainingError
from lightning_tasks.probe.feature_file import Shelf, digest, keep_features

ROWS = np.arange(12, dtype=np.float32).reshape(4, 3)


def batches(*parts):
    for rows in parts:
        yield np.array(rows), ROWS[rows]


def keep(folder, *parts, name="set", n=4, identity=("a",), limit_gb=1.0):
    return keep_features(name, list(identity), n, lambda: batches(*parts), Shelf(folder, limit_gb))


def files(folder):
    return sorted(path.name for path in (folder / "features").glob("*.npy"))


def test_what_was_kept_is_not_computed_again(tmp_path):
    first = keep(tmp_path, [0, 1], [2, 3])
    again = keep_features("set", ["a"], 4, lambda: pytest.fail("computed"), Shelf(tmp_path))
    assert (first.was_there, again.was_there) == (False, True)
    for kept in (first, again):
        assert kept.array.dtype == np.float16
        assert np.array_equal(kept.array, ROWS)
    assert not keep(tmp_path, [0, 1, 2, 3], identity=("b",)).was_there


@pytest.mark.parametrize("limit_gb", [0, 1])
def test_rows_that_there_is_nothing_of_are_nan(tmp_path, limit_gb):
    array = keep(tmp_path, [1], [2], n=6, limit_gb=limit_gb).array
    assert array.shape == (6, 3)
    assert np.array_equal(array[1:3], ROWS[1:3])
    assert np.isnan(array[[0, 3, 4, 5]]).all()
    assert len(list(tmp_path.rglob("*.npy"))) == limit_gb


def test_maps_are_kept_as_well_as_rows(tmp_path):
    maps = np.random.default_rng(0).normal(size=(3, 2, 5, 4)).astype(np.float16)
    kept = keep_features("m", [], 3, lambda: iter([(np.arange(3), maps.astype(np.float32))]), Shelf(tmp_path))
    assert np.array_equal(kept.array, maps)


def test_parts_that_read_alike_in_a_row_are_told_apart():
    assert len({digest(parts) for parts in (["ab", "c"], ["a", "bc"], ["abc"], ["c", "ab"], ["ab", "c", ""])}) == 5


def test_a_kill_while_it_is_written_leaves_nothing(tmp_path):
    def dies():
        yield np.array([0, 1]), ROWS[:2]
        os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if not child:
        keep_features("set", ["a"], 4, dies, Shelf(tmp_path))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert not files(tmp_path)
    assert np.array_equal(keep(tmp_path, [0, 1, 2, 3]).array, ROWS)


def test_an_error_while_it_is_computed_leaves_nothing(tmp_path):
    def fails():
        yield np.array([0]), ROWS[:1]
        raise TrainingError("no")

    with pytest.raises(TrainingError, match="no"):
        keep_features("set", ["a"], 4, fails, Shelf(tmp_path))
    assert not list((tmp_path / "features").glob("*.npy"))


def test_a_damaged_file_is_made_again(tmp_path):
    keep(tmp_path, [0, 1, 2, 3])
    (path,) = (tmp_path / "features").glob("*.npy")
    path.write_bytes(path.read_bytes()[:-5])
    kept = keep(tmp_path, [0, 1, 2, 3])
    assert not kept.was_there
    assert np.array_equal(kept.array, ROWS)


@settings(max_examples=25)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 60)), min_size=1, max_size=8))
def test_all_files_together_never_exceed_the_limit(tmp_path_factory, asked):
    folder, limit = tmp_path_factory.mktemp("bound"), 400
    for name, n in asked:
        values = np.full((n, 3), name, dtype=np.float32)
        compute = iter([(np.arange(n), values)])
        kept = keep_features(f"s{name}", [str(n)], n, lambda found=compute: found, Shelf(folder, limit / 1e9))
        assert np.array_equal(kept.array, values)
        sizes = {path.name[:2]: path.stat().st_size for path in (folder / "features").glob("*.npy")}
        assert sum(sizes.values()) <= limit
        assert f"s{name}" in sizes or 6 * n > limit - 128


def test_what_was_used_longest_ago_goes_first(tmp_path):
    def ask(name):
        return keep(tmp_path, [0, 1, 2, 3], name=name, limit_gb=2.5 * (24 + 128) / 1e9)

    for name in "ab":
        ask(name)
    for age, name in enumerate("ba"):  # a was used after b
        (path,) = (tmp_path / "features").glob(f"{name}-*.npy")
        os.utime(path, ns=(age + 1, age + 1))
    assert ask("a").was_there
    ask("c")
    assert [name[0] for name in files(tmp_path)] == ["a", "c"]


@pytest.mark.parametrize("value", [1e5, np.nan, np.inf])
def test_what_half_precision_does_not_hold_is_an_error(tmp_path, value):
    with pytest.raises(TrainingError, match="not finite in float16"):
        keep_features("set", [], 1, lambda: iter([(np.array([0]), np.array([[value]], np.float32))]), Shelf(tmp_path))
    assert not files(tmp_path)


def test_a_place_that_cannot_be_written_and_a_limit_below_zero_are_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"cannot be kept.*data\.cache_dir"):
        keep(tmp_path / "file", [0, 1, 2, 3])
    with pytest.raises(ConfigError, match="must not be negative"):
        keep(tmp_path, [0], limit_gb=-1)
