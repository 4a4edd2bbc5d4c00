"""Iterative stratification: by hand, against random draws, and what holds of any table."""

import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightning_tasks import KeypointDataModule, MultiLabelDataModule, ValueDataModule
from lightning_tasks.data.tables.splits import split_table
from lightning_tasks.data.tables.stratify import TRAINING, stratify
from lightning_tasks.errors import TableError
from lightning_tasks.tasks.values.statistics import value_strata


def frame(n, **columns):
    return pd.DataFrame({"fname": [f"{i}.jpg" for i in range(n)], **columns})


def has(strata, rows, n_classes):
    """Return which classes some rows have (C,)."""
    return np.isin(np.arange(n_classes), strata[np.isin(strata[:, 0], rows), 1])


def shares(labels, rows):
    return labels[rows].mean(axis=0)


@pytest.mark.parametrize("seed", range(20))
def test_a_case_that_was_worked_by_hand(seed):
    """Two halves of eight rows: `a` is in 0 1, `b` in 0 2 3 4, `c` in 2 3 5 6 7.

    Each half wants one `a`, two `b`, two and a half `c` and four rows. `a` is the rarest: 0 goes to one half, A say,
    and 1 to the other, B. Then of `b` A still wants 1 and B 2, which gives 2, 3 and 4 in some order: the first to B.
    With 1 wanted by both the rows decide: A wants 3, B 2, so the second goes to A and the third to B. Of `c` what is
    wanted depends on whether 4, which has none, went to A (2.5 and 0.5; rows 2 and 1) or not (1.5 and 1.5; 2 and 1).
    In the first case A takes 5, 6 (2.5, 1.5 against 0.5), B the last; in the other A, B, A.
    """
    strata = np.array([(0, 0), (1, 0), *((i, 1) for i in (0, 2, 3, 4)), *((i, 2) for i in (2, 3, 5, 6, 7))])
    side = stratify(np.ones(8, dtype=int), strata, [4, 4], seed)
    a, b = side[0], 1 - side[0]
    assert side[1] == b
    assert sorted(side[[2, 3, 4]]) == sorted([a, b, b])
    assert sorted(side[[5, 6, 7]]) == sorted([a, a, b])


@pytest.mark.parametrize("settings", [{}, {"fold": 2, "folds": 4}])
def test_labels_are_shared_out_better_than_by_lot(settings):
    """Each label by itself, on average over seeds, from those of a hundredth of the images to those of a half."""
    rng = np.random.default_rng(5)
    labels = rng.random((600, 9)) < np.geomspace(0.01, 0.5, 9)
    labels[:, 3] |= labels[:, 8] & (rng.random(600) < 0.2)  # two that occur together
    off = {}
    for name, strata in (("lot", None), ("stratified", np.argwhere(labels))):
        valid = [split_table(frame(600), "t", seed=seed, strata=strata, **settings)[1] for seed in range(12)]
        off[name] = np.mean([abs(shares(labels, rows) - labels.mean(axis=0)) for rows in valid], axis=0)
        assert {len(rows) for rows in valid} == {150 if settings else 120}
    assert (off["stratified"] < off["lot"]).all()
    assert off["stratified"].mean() < off["lot"].mean() / 5


def test_groups_are_shared_out_better_than_by_lot():
    rng = np.random.default_rng(5)
    group = rng.integers(0, 40, 600)
    labels = rng.random((600, 6)) < rng.random((40, 6))[group] * np.geomspace(0.05, 0.9, 6)
    table = frame(600, group=group.astype(str))
    for settings, n in (({}, 120), ({"fold": 0}, 120)):
        off = {}
        for name, strata in (("lot", None), ("stratified", np.argwhere(labels))):
            valid = [split_table(table, "t", seed=seed, strata=strata, **settings)[1] for seed in range(12)]
            off[name] = np.mean([abs(shares(labels, rows) - labels.mean(axis=0)).mean() for rows in valid])
            assert all(abs(len(rows) - n) <= np.bincount(group).max() for rows in valid)
        assert off["stratified"] < 0.8 * off["lot"]


@st.composite
def tables(draw):
    """Return a table, perhaps of groups, and what its rows have: few classes or many, common or rare."""
    n, n_classes = draw(st.integers(4, 60)), draw(st.integers(1, 12))
    seed, rate = draw(st.integers(0, 2**20)), draw(st.sampled_from([0.03, 0.1, 0.4, 0.9]))
    rng = np.random.default_rng(seed)
    labels = rng.random((n, n_classes)) < rate * rng.random(n_classes)
    columns = {}
    if draw(st.booleans()):
        columns["group"] = rng.integers(0, draw(st.integers(4, 30)), n).astype(str)
    elif draw(st.booleans()):
        columns["_file"] = rng.integers(0, n, n)
    return frame(n, **columns), np.argwhere(labels), n_classes


def units_of(table):
    column = next((table[name].to_numpy() for name in ("group", "_file") if name in table), np.arange(len(table)))
    return np.unique(column, return_inverse=True)[1].reshape(-1)


def units_with(unit, strata, n_classes):
    """Return how many units have each class."""
    return np.array([len(np.unique(unit[strata[strata[:, 1] == name, 0]])) for name in range(n_classes)])


@given(tables(), st.floats(0.05, 0.9), st.integers(0, 9))
def test_what_holds_of_every_drawn_share(made, fraction, seed):
    table, strata, n_classes = made
    unit = units_of(table)
    if unit.max() == 0:
        return
    train, valid = split_table(table, "t", valid_fraction=fraction, seed=seed, strata=strata)
    again = split_table(table, "t", valid_fraction=fraction, seed=seed, strata=strata[::-1])
    assert (train.tolist(), valid.tolist()) == tuple(rows.tolist() for rows in again)
    assert sorted([*train, *valid]) == list(range(len(table)))
    assert not set(unit[train]) & set(unit[valid])
    n = units_with(unit, strata, n_classes)
    in_train, in_valid = has(strata, train, n_classes), has(strata, valid, n_classes)
    free = np.setdiff1d(unit, unit[strata[np.isin(strata[:, 1], np.flatnonzero(n == 1)), 0]])
    if len(free):  # else some unit has to be held out
        assert in_train[n >= 1].all()
    largest, wanted = np.bincount(unit).max(), fraction * len(table)
    assert len(valid) <= wanted + max(largest / 2, 1) or len(set(unit[valid])) == 1
    is_full = len(valid) >= wanted - max(largest / 2, 1)
    if (n != 1).all() and largest == 1:
        assert len(valid) >= wanted - 1 - n_classes  # for each of which a unit more may have to be trained on
        assert is_full or in_valid[n >= 2].all()


@given(tables(), st.integers(0, 9), st.integers(2, 4))
def test_what_holds_of_every_fold(made, seed, folds):
    table, strata, n_classes = made
    unit = units_of(table)
    n = units_with(unit, strata, n_classes)
    alone = np.isin(unit, unit[strata[np.isin(strata[:, 1], np.flatnonzero(n == 1)), 0]])
    held_out = []
    for fold in range(folds):
        try:
            train, valid = split_table(table, "t", fold=fold, folds=folds, seed=seed, strata=strata)
        except TableError:
            assert len(np.unique(unit[~alone])) < folds + n_classes
            continue
        assert sorted([*train, *valid]) == list(range(len(table)))
        assert not set(unit[train]) & set(unit[valid])
        assert has(strata, train, n_classes)[n >= 1].all()
        held_out += valid.tolist()
    assert len(set(held_out)) == len(held_out)
    assert not alone[held_out].any()


@pytest.mark.parametrize("fraction", [0.05, 0.2, 0.5, 0.8])
def test_a_label_of_two_is_on_both_sides_and_one_of_one_is_trained_on(fraction):
    """Twenty labels of two images each, five of one, and many images of a common one; as many fit as are wanted."""
    rare = [(i, i // 2) for i in range(40)] + [(40 + i, 20 + i) for i in range(5)]
    strata = np.array(rare + [(i, 25) for i in range(30, 500)])
    for seed in range(5):
        train, valid = split_table(frame(500), "t", valid_fraction=fraction, seed=seed, strata=strata)
        assert len(valid) == round(fraction * 500)
        assert has(strata, train, 26).all()
        assert has(strata, valid, 26).tolist() == [True] * 20 + [False] * 5 + [True]


def test_where_all_rows_are_alone_with_a_label_one_is_held_out_and_no_fold_can_be():
    strata = np.array([(i, i) for i in range(10)])
    assert [len(rows) for rows in split_table(frame(10), "t", strata=strata)] == [9, 1]
    with pytest.raises(TableError, match=r"no row is left for validation.*stays in training.*data\.stratify"):
        split_table(frame(10), "t", fold=0, strata=strata)


def test_a_class_that_one_group_has_in_many_rows_is_trained_on():
    group = np.repeat(["a", "b", "c", "d"], [3, 3, 3, 1])
    strata = np.array([(0, 0), (1, 0), (2, 0), *((i, 1) for i in range(10))])
    for seed in range(8):
        for settings in ({"valid_fraction": 0.3}, {"fold": 0, "folds": 2}, {"fold": 1, "folds": 2}):
            assert 0 in split_table(frame(10, group=group), "t", seed=seed, strata=strata, **settings)[0]


def test_rows_that_are_marked_count_for_nothing():
    """The only unmarked row with the label is trained on, whatever rows marked test or held out have."""
    strata = np.array([(i, 0) for i in range(5)] + [(i, 1) for i in range(10)])
    marked = frame(10, split=["test"] * 4 + ["train"] * 6)
    assert all(4 in split_table(marked, "t", seed=seed, valid_fraction=0.5, strata=strata)[0] for seed in range(9))
    held = frame(10, is_valid=[True] * 4 + [False] * 6)
    for seed in range(9):
        assert all(4 in split_table(held, "t", fold=fold, folds=2, seed=seed, strata=strata)[0] for fold in (0, 1))


def test_a_hundred_thousand_images_of_eighty_labels_take_seconds():
    rng = np.random.default_rng(0)
    strata = np.argwhere(rng.random((100_000, 80)) < np.exp(-np.linspace(1, 8, 80)))
    start = time.process_time()
    side = stratify(np.ones(100_000, dtype=int), strata, [80_000, 20_000], 0)
    assert time.process_time() - start < 10
    assert (side != TRAINING).sum() == 20_000


def split_of(data):
    return data.split_of(data.read_main_table())


def test_small_and_large_numbers_are_shared_out(tmp_path):
    """Two targets of a hundred images: in classes of twenty, the fifth with the largest is a fifth of either side."""
    rng = np.random.default_rng(0)
    ages, weights = np.exp(rng.normal(3, 1, 100)), rng.integers(0, 5, 100)
    known = rng.random(100) < 0.3
    lines = [f"{i}.jpg,{a},{w if k else ''}" for i, (a, w, k) in enumerate(zip(ages, weights, known, strict=True))]
    (tmp_path / "values.csv").write_text("\n".join(["fname,age,weight", *lines]))
    large = ages >= np.sort(ages)[80]
    for seed in range(5):
        for settings in ({}, {"fold": seed}):
            data = ValueDataModule(str(tmp_path), split_seed=seed, **settings)
            valid = split_of(data)[1]
            assert len(valid) == 20
            assert 3 <= large[valid].sum() <= 5
            assert abs(known[valid].sum() - known.sum() / 5) <= 1.5
    assert value_strata(np.ones((100, 2))) is None
    assert value_strata(np.arange(39.0)[:, None]) is None  # too few to be told apart
    two = value_strata(np.array([[5.0, np.nan], *[[i, 1.0] for i in range(39)]]))
    assert {tuple(pair) for pair in two if pair[1] >= 10} == {(i + 1, 10) for i in range(39)}
    assert two[two[:, 1] < 10, 1].tolist() == [0, *[0] * 19, *[1] * 20]  # 5, 0, 1, ..., 38 about their median


def test_points_that_only_some_images_have_are_shared_out(tmp_path):
    rng = np.random.default_rng(0)
    has = rng.random(200) < 0.06
    lines = [f"{i}.jpg,5,6,{'7,8' if h else ','}" for i, h in enumerate(has)]
    (tmp_path / "points.csv").write_text("\n".join(["fname,a_x,a_y,b_x,b_y", *lines]))
    for seed in range(5):
        valid = split_of(KeypointDataModule(str(tmp_path), "points.csv", split_seed=seed))[1]
        assert len(valid) == 40
        assert abs(has[valid].sum() - has.sum() / 5) < 1
    whole = pd.DataFrame({"fname": [f"{i}.jpg" for i in range(50)], "a_x": 1.0, "a_y": 1.0})
    data = KeypointDataModule(str(tmp_path), "points.csv")
    for mine, by_lot in zip(data.split_of(whole), split_table(whole, "t"), strict=True):
        assert mine.tolist() == by_lot.tolist()  # nothing tells the rows apart: as it was drawn before


def test_difficult_labels_count_for_nothing(tmp_path):
    """Of twenty images with `a`, ten are sure: two of these validate, whatever becomes of the others."""
    rows = [f"{i}.jpg,{'a b' if i < 20 else 'b'},{'a' if i < 10 else ''}" for i in range(100)]
    (tmp_path / "labels.csv").write_text("\n".join(["fname,labels,difficult", *rows]))
    for seed in range(5):
        for difficult in ("ignored", "negative"):
            valid = split_of(MultiLabelDataModule(str(tmp_path), split_seed=seed, difficult=difficult))[1]
            assert ((valid >= 10) & (valid < 20)).sum() == 2


@pytest.mark.parametrize("settings", [{}, {"fold": 1}])
def test_the_split_is_the_tables_whatever_the_model_calls_its_outputs(settings, tmp_path):
    """A checkpoint hands its own vocabulary, targets and points to the data that it is scored on."""
    rng = np.random.default_rng(1)
    kinds = [f"{'cat' if a else ''} {'dog' if b else ''}" for a, b in rng.random((60, 2)) < 0.4]
    (tmp_path / "labels.csv").write_text("\n".join(["fname,labels", *(f"{i}.jpg,{k}" for i, k in enumerate(kinds))]))
    given = [split_of(MultiLabelDataModule(str(tmp_path), vocab=vocab, **settings)) for vocab in (None, ["dog", "cat"])]
    assert [rows.tolist() for rows in given[0]] == [rows.tolist() for rows in given[1]]
