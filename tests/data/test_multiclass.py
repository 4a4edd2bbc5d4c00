"""Images with exactly one label each."""

import numpy as np
import pytest

from lightning_tasks import MultiClassDataModule, MultiLabelDataModule
from lightning_tasks.errors import TableError
from lightning_tasks.tasks.multiclass.datamodule import check_one_label
from tests.fakes import LABELS, write_multilabel

WRONG = [
    ([*LABELS[:2], "1.jpg,cat dog,False", *LABELS[3:]], r"row 3, column 'labels': 2 labels; cross-entropy"),
    ([*LABELS[:8], "7.jpg,,True"], r"row 9, column 'labels': no labels; cross-entropy wants exactly one an image"),
    ([f"{line},{'difficult' if not i else ''}" for i, line in enumerate(LABELS)], r"row 1: cross-entropy knows no"),
]


@pytest.mark.parametrize(("lines", "message"), WRONG)
def test_each_row_has_exactly_one_label(tmp_path, lines, message):
    write_multilabel(tmp_path, lines)
    settings = {"size": 16, "num_workers": 0, "cache": "none", "test_csv": "labels.csv"}
    for stage in ("fit", "validate", "test") if "row 9" in message else ("fit", "test"):
        with pytest.raises(TableError, match=rf"labels\.csv: {message}"):
            MultiClassDataModule(str(tmp_path), **settings).setup(stage)
    with pytest.raises(TableError, match=message):
        MultiClassDataModule(str(tmp_path), **settings).describe()
    lenient = MultiLabelDataModule(str(tmp_path), **settings)
    check_one_label(lenient)  # it has read nothing yet
    lenient.setup("fit")
    with pytest.raises(TableError, match=message):  # asked for by a model that needs it
        check_one_label(lenient)


def test_one_label_a_row_is_read_as_labels_are(tmp_path):
    write_multilabel(tmp_path, LABELS)
    data = MultiClassDataModule(str(tmp_path), size=16, num_workers=0, batch_size=2, cache="none")
    data.setup("fit")
    assert data.valid_set.targets.tolist() == [[0, 1], [1, 0]]
    assert data.split[0].tolist() == list(range(6))
    table = data.table
    assert not [p for p in data.find_problems(table, np.arange(6), np.arange(6, 8)) if p.is_error]
