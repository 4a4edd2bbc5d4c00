import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightning_tasks.data.tables.splits import deal_folds, split_table
from lightning_tasks.errors import ConfigError, TableError


def frame(n, **columns):
    return pd.DataFrame({"fname": [f"{i}.jpg" for i in range(n)], **columns})


def test_is_valid_decides():
    train, valid = split_table(frame(4, is_valid=[True, False, True, False]), "t")
    assert (train.tolist(), valid.tolist()) == ([1, 3], [0, 2])


def test_a_fifth_is_drawn_and_only_the_split_seed_moves_it():
    first, again, other = (split_table(frame(100), "t", seed=seed) for seed in (1, 1, 2))
    assert [len(rows) for rows in first] == [80, 20]
    assert first[1].tolist() == again[1].tolist() != other[1].tolist()


groups = st.lists(st.sampled_from("abcdefgh"), min_size=8, max_size=60).filter(lambda g: len(set(g)) >= 3)


@given(groups, st.integers(0, 5), st.floats(0.05, 0.9))
def test_a_drawn_split_never_cuts_a_group(group, seed, fraction):
    train, valid = split_table(frame(len(group), group=group), "t", seed=seed, valid_fraction=fraction)
    group = np.array(group)
    assert sorted([*train, *valid]) == list(range(len(group)))
    assert not set(group[train]) & set(group[valid])


@given(groups, st.integers(0, 5))
def test_folds_by_group_cover_every_row_once(group, seed):
    table = frame(len(group), group=group)
    splits = [split_table(table, "t", fold=fold, folds=3, seed=seed) for fold in range(3)]
    assert sorted(np.concatenate([valid for _, valid in splits])) == list(range(len(group)))
    group = np.array(group)
    for train, valid in splits:
        assert sorted([*train, *valid]) == list(range(len(group)))
        assert not set(group[train]) & set(group[valid])


@given(groups, st.integers(0, 5), st.booleans(), st.data())
def test_some_of_the_rows_are_dealt_in_whole_groups(group, seed, stratified, data):
    """Of the rows that are given; what is alone with a class trains in every fold."""
    table = frame(len(group), group=group)
    rows = np.array(data.draw(st.sets(st.sampled_from(range(len(group))), min_size=1).map(sorted)))
    classes = np.array([(row, "abcdefgh".index(name) % 3) for row, name in enumerate(group)])
    if len(set(np.array(group)[rows])) < 3:
        with pytest.raises(TableError, match=r"cannot make 3 folds\. Take fewer"):
            deal_folds(table, rows, 3, seed, None, "t")
        return
    fold = deal_folds(table, rows, 3, seed, classes if stratified else None, "t")
    assert len(fold) == len(rows)
    assert set(fold) <= ({-1, 0, 1, 2} if stratified else {0, 1, 2})
    assert all(len(set(fold[np.array(group)[rows] == name])) <= 1 for name in set(group))
    if stratified:
        for name in range(3):
            holding = np.array([classes[row, 1] == name for row in rows])
            training = [holding & (fold != held_out) for held_out in range(3)]
            assert not holding.any() or all(part.any() for part in training)


@given(st.integers(0, 50))
def test_a_large_group_is_not_drawn_for_a_small_share(seed):
    group = ["huge"] * 80 + [f"g{i // 5}" for i in range(20)]
    valid = split_table(frame(100, group=group), "t", seed=seed)[1]
    assert len(valid) == 20


def test_folds_without_groups_differ_by_one_row_at_most():
    sizes = [len(split_table(frame(23), "t", fold=fold, folds=5)[1]) for fold in range(5)]
    assert sorted(sizes) == [4, 4, 5, 5, 5]


def test_rows_marked_for_validation_stay_out_of_all_folds():
    table = frame(10, is_valid=[True] * 4 + [False] * 6)
    seen = {int(row) for fold in range(3) for rows in split_table(table, "t", fold=fold, folds=3) for row in rows}
    assert seen == set(range(4, 10))


def test_a_splitter_beats_everything():
    table = frame(4, is_valid=[True, False, True, False])
    train, valid = split_table(table, "t", splitter=lambda t: ([3, 0], [len(t) - 2]), fold=0)
    assert (train.tolist(), valid.tolist()) == ([0, 3], [2])


@pytest.mark.parametrize(
    ("returned", "message"), [(([0, 1], [1]), "both"), (([0], [9]), "row 9"), (([-1], [0]), "row -1")]
)
def test_a_wrong_splitter_is_told(returned, message):
    with pytest.raises(ConfigError, match=message):
        split_table(frame(3), "t", splitter=lambda _: returned)


def test_an_empty_side_is_an_error():
    with pytest.raises(TableError, match="validation"):
        split_table(frame(3, is_valid=[False] * 3), "t")
    with pytest.raises(TableError, match="training"):
        split_table(frame(3, is_valid=[True] * 3), "t")


def test_impossible_settings_are_errors():
    with pytest.raises(ConfigError, match="fold 5"):
        split_table(frame(9), "t", fold=5)
    with pytest.raises(ConfigError, match="valid_fraction"):
        split_table(frame(9), "t", valid_fraction=1.5)
    with pytest.raises(TableError, match="folds"):
        split_table(frame(9, group=["a"] * 9), "t", fold=0)


@given(st.lists(st.integers(0, 9), min_size=8, max_size=60).filter(lambda f: len(set(f)) >= 3), st.integers(0, 5))
def test_a_drawn_split_never_cuts_an_image(file, seed):
    table = frame(len(file), _file=file)
    for settings in ({"valid_fraction": 0.3}, {"fold": 1, "folds": 3}):
        train, valid = split_table(table, "t", seed=seed, **settings)
        assert not set(table["_file"][train]) & set(table["_file"][valid])
        assert sorted([*train, *valid]) == list(range(len(file)))
