"""A checkpoint that was trained on rows that are for validation now is told by its settings."""

import warnings

import pytest

from lightning_tasks import MultiLabelDataModule
from lightning_tasks.data.trained_on import trained_on_valid
from lightning_tasks.errors import LightningTasksWarning
from lightning_tasks.tasks import BiwiDataModule
from lightning_tasks.tasks.keypoints.sample import draw_biwi
from tests.fakes import write_multilabel

N = 40


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A root with a table whose split is drawn, and one that marks its rows for validation."""
    folder = tmp_path_factory.mktemp("root")
    rows = [f"{i}.jpg,{'dog' if i % 3 else 'cat'}" for i in range(N)]
    write_multilabel(folder, ["fname,labels", *rows], 1)
    (folder / "marked.csv").write_text(
        "\n".join(["fname,labels,is_valid", *(f"{r},{i < 8}" for i, r in enumerate(rows))])
    )
    return folder


@pytest.fixture
def made(root, monkeypatch):
    monkeypatch.setattr(MultiLabelDataModule, "locate", lambda self, table: Located(table))
    return lambda **settings: MultiLabelDataModule(str(root), **{"num_workers": 0, **settings})


class Located:
    def __init__(self, table):
        self.table = table


@pytest.mark.parametrize(
    ("then", "now"),
    [
        ({}, {}),
        ({}, {"fold": 1}),
        ({"fold": 0}, {"fold": 1}),
        ({"fold": 0}, {}),
        ({}, {"split_seed": 7}),
        ({}, {"valid_fraction": 0.5}),
        ({"valid_fraction": 0.5}, {}),
        ({}, {"stratify": False}),
        ({"fold": 0}, {"fold": 0, "folds": 3}),
        ({"train_on_valid": True}, {}),
        ({"train_on_valid": True}, {"train_on_valid": True}),
        ({}, {"train_on_valid": True}),
        ({"csv": "marked.csv"}, {"csv": "marked.csv", "split_seed": 7}),
        ({"csv": "marked.csv", "fold": 1}, {"csv": "marked.csv"}),
        ({"csv": "marked.csv"}, {"csv": "marked.csv", "fold": 1}),
    ],
)
def test_it_was_trained_on_the_rows_that_both_splits_name(then, now, made):
    trained, scored = made(**then), made(**now)
    both = set(trained.split[0]) & set(scored.split[1])
    told = trained_on_valid(scored, dict(trained.hparams))
    assert (told is not None) == bool(both)
    if both:
        assert told.startswith(f"{len(both)} of the {len(scored.split[1])} rows for validation (data.")


def test_another_table_is_not_judged_and_the_same_one_under_another_name_is(made, root):
    trained, same = made(fold=0), made(fold=1, csv=str(root / "labels.csv"))
    assert trained_on_valid(made(fold=1, csv="marked.csv"), dict(trained.hparams)) is None
    assert "(data.fold was 0 and is 1)" in trained_on_valid(same, dict(trained.hparams))
    assert trained_on_valid(made(fold=1), {**trained.hparams, "folds": 1000}) is None  # no folds of this table


def test_where_a_splitter_decides_nothing_is_known(made):
    scored = made(splitter=lambda table: (range(10), range(10, N)))
    assert trained_on_valid(scored, dict(made(fold=0).hparams)) is None


def test_sequences_that_are_scored_may_be_those_of_training(tmp_path):
    draw_biwi(tmp_path / "b", frames=2)
    data, others = (BiwiDataModule(str(tmp_path / "b"), validation_sequences=of) for of in (None, [17]))
    told = "2 of the 2 rows for validation (data.validation_sequences was None and is [17])"
    assert trained_on_valid(others, dict(data.hparams)) == told
    assert others.split[1].tolist() != data.split[1].tolist()


def test_the_doubt_names_the_checkpoint(made):
    data, trained = made(fold=1), made(fold=0)
    content = {data.CHECKPOINT_HYPER_PARAMS_KEY: dict(trained.hparams)}
    with pytest.warns(LightningTasksWarning, match=r"labels.csv: b.ckpt was trained on 8 of the 8 rows for validation"):
        data.doubt_split(content, "b.ckpt")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trained.doubt_split(content)
        trained.doubt_split({})  # trained without a data module
