"""Names that look alike are alike, whoever wrote them: a checkpoint, a config, a word on the command line."""

import pytest

from lightning_tasks import KeypointDataModule, KeypointRegressor, MultiLabelClassifier, MultiLabelDataModule
from lightning_tasks.csv_text import separator_for
from lightning_tasks.errors import CheckpointError
from lightning_tasks.tasks.multilabel.grad_cam import GradCam

COMPOSED, DECOMPOSED = "caf\u00e9", "cafe\u0301"


def test_a_checkpoint_of_decomposed_names_belongs_to_composed_ones():
    stored = {"hyper_parameters": {"vocab": [DECOMPOSED, "tea"]}}
    MultiLabelClassifier([COMPOSED, "tea"], "test_resnet").on_load_checkpoint(stored)
    with pytest.raises(CheckpointError, match="The checkpoint knows 2 labels"):
        MultiLabelClassifier(["tea", COMPOSED], "test_resnet").on_load_checkpoint(stored)


@pytest.mark.parametrize("trained", [COMPOSED, DECOMPOSED])
@pytest.mark.parametrize("asked", [COMPOSED, DECOMPOSED])
def test_grad_cam_finds_a_label_in_either_form(trained, asked):
    model = MultiLabelClassifier(["tea", trained], "test_resnet", pretrained=False)
    assert GradCam(model, asked).column == 1


def test_settings_name_labels_and_points_in_either_form():
    assert MultiLabelDataModule(".", vocab=[DECOMPOSED]).vocab == [COMPOSED]
    data = KeypointDataModule(".", point_names=[DECOMPOSED, "b"], swap_pairs=[(DECOMPOSED, "b")])
    assert (data.point_names, data.swap_pairs) == ([COMPOSED, "b"], [(COMPOSED, "b")])
    KeypointRegressor(data.point_names, "test_resnet", pretrained=False, normalize_by=("b", DECOMPOSED))


def test_labels_are_written_with_something_between_that_is_in_none():
    assert separator_for(["cat", "dog"]) == " "
    assert separator_for(["hot dog", "cat"]) == ";"
    assert separator_for(["hot dog", "a;b"], "|") == "|"
