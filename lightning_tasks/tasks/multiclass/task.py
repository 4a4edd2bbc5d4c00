"""The task `multiclass`, put together: the likeliest label is predicted, in place of thresholds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, NoReturn

import numpy as np
from torch import Tensor

from lightning_tasks.data.tables.formats.annotations import Annotations
from lightning_tasks.data.tables.table_checks import raise_or_warn
from lightning_tasks.errors import TableError
from lightning_tasks.reports.gallery import ReadReduced
from lightning_tasks.reports.page import render_page
from lightning_tasks.reports.run_info import RunInfo
from lightning_tasks.tasks.config_draft import ConfigDraft, OwnTable
from lightning_tasks.tasks.multiclass.classifier import MultiClassClassifier
from lightning_tasks.tasks.multiclass.datamodule import MultiClassDataModule, check_one_label, one_label_problems
from lightning_tasks.tasks.multilabel.classifier import MultiLabelClassifier
from lightning_tasks.tasks.multilabel.datamodule import MultiLabelDataModule
from lightning_tasks.tasks.multilabel.draft import draft_label_config, has_one_each, read_own
from lightning_tasks.tasks.multilabel.label_errors import class_suspects
from lightning_tasks.tasks.multilabel.predictions import LabelPredictions, predict_labels
from lightning_tasks.tasks.multilabel.task import MultiLabel
from lightning_tasks.tasks.prediction import Annotation, ScoredLabel
from lightning_tasks.tasks.split_predictions import Split
from lightning_tasks.tasks.suspects import Suspect

_ONE_EACH = (
    "each image has exactly one: a MultiClassClassifier on a MultiClassDataModule trains a softmax; "
    "where images may have several or none, init --task multilabel"
)
_NOT_MEASURED = "A recipe of images with any number of labels; for a softmax nothing was measured."
_TEMPLATE = Path(__file__).with_name("page.html.j2")


@dataclass(frozen=True, kw_only=True)
class ClassPredictions(LabelPredictions):
    """N images with exactly one of C labels each; see `LabelPredictions`. There are no thresholds."""

    exclusive: ClassVar[bool] = True

    def losses(self) -> Tensor:
        """Return each image's cross-entropy (N,)."""
        return class_losses(self.probabilities, self.targets)

    def resampled(self, counts: Tensor) -> dict[str, Tensor]:
        """Return the scores of resamples, and the average precision of each label; see `SplitPredictions`."""
        scores = super().resampled(counts)
        # With one label there and one predicted, the share of labels found is that of images that are right.
        scores["accuracy"] = scores.pop("recall_micro")
        return {name: value for name, value in scores.items() if name not in ("precision_micro", "f1_micro")}

    def _resampled_loss(self, counts: Tensor) -> Tensor:
        return (self.losses().double() @ counts.double()) / counts.double().sum(0)

    def most_common(self) -> float:
        """Return the commonest label's share of the images: the accuracy of always predicting it."""
        return float((self.targets == 1).sum(0).max() / len(self.targets))

    def suspects(self) -> list[Suspect]:
        """Return the images whose label is probably another; see `class_suspects`."""
        return class_suspects(self.probabilities, self.targets, self.vocab)

    def corrected(self, row: int, suspects: Sequence[Suspect]) -> Annotation:
        """Return the annotated label, or the one that the model says in its place, with its probability."""
        label = suspects[0].predicted if suspects else self.vocab[int(self.targets[row].argmax())]
        return Annotation((ScoredLabel(label, round(float(self.probabilities[row, self.vocab.index(label)]), 6)),))

    def report(self, run: RunInfo, split: str, read: ReadReduced, ci: float | None = None) -> str:
        """Return an html page."""
        values = {**self.scores_of_page(ci), "thresholds": [], "most_common": self.most_common()}
        return render_page(_TEMPLATE, run, split, self.gallery(read), **values)


def class_losses(probabilities: Tensor, targets: Tensor) -> Tensor:
    """Return each image's cross-entropy (N,), minus the logarithm of its label's probability (N, C): at most 100."""
    return -((probabilities * (targets == 1)).sum(1).log().clamp(min=-100))


def _refuse(table: OwnTable) -> NoReturn:
    """Say which rows have not exactly one label, or that there is one label alone."""
    rows = read_own(table)[0]
    way_out = "Correct the row, or take --task multilabel: an image may have any number of labels then."
    problems = one_label_problems(rows, np.arange(len(rows)), table.path)
    raise_or_warn([replace(problem, way_out=way_out) for problem in problems])
    raise TableError(f"{table.path}: column 'labels': all images have the same label. Take --task multilabel.")


class MultiClass(MultiLabel):
    """Which of the labels does an image carry? Exactly one of them."""

    name = "multiclass"
    datamodule = MultiClassDataModule
    model = MultiClassClassifier
    predictions = ClassPredictions
    table_name = ""  # that of any labels

    def wrote(self, hyper_parameters: Mapping[str, Any]) -> bool:
        """Return whether a checkpoint is of this task: its loss says so, in old ones too."""
        return super().wrote(hyper_parameters) and hyper_parameters.get("loss") == "cross_entropy"

    def is_meant(self, annotations: Annotations) -> bool:
        """Return False: the annotations are those of any labels."""
        return False

    def draft_config(self, table: OwnTable) -> ConfigDraft | None:
        """Return what a config says of data and training; None: not every image has exactly one of several labels.

        Raises:
            LightningTasksError: the table cannot be used, or its owner calls it one of this task and it is not.
        """
        if not has_one_each(table):
            if table.task == self.name:
                _refuse(table)
            return None
        draft = draft_label_config(table)
        draft.comments["label_separator"].append(_ONE_EACH)
        draft.recipe.about.append(_NOT_MEASURED)
        return draft

    def predict_split(
        self, model: MultiLabelClassifier, datamodule: MultiLabelDataModule, split: Split = "valid"
    ) -> LabelPredictions:
        """Return the labels' probabilities, where each image has exactly one: the data module of any labels may not."""
        return predict_labels(model, datamodule, split, ClassPredictions, check_one_label)
