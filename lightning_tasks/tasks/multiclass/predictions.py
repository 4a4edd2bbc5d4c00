"""The likeliest label for a whole split, beside the true one."""

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from lightning_tasks.reports.gallery import ReadReduced
from lightning_tasks.reports.page import render_page
from lightning_tasks.reports.run_info import RunInfo
from lightning_tasks.tasks.multiclass.scores import class_losses
from lightning_tasks.tasks.multilabel.page import label_gallery, label_scores_of_page
from lightning_tasks.tasks.multilabel.predictions import LabelPredictions

_TEMPLATE = Path(__file__).with_name("page.html.j2")


@dataclass(frozen=True, kw_only=True)
class ClassPredictions(LabelPredictions):
    """N images with exactly one of C labels each; see `LabelPredictions`. There are no thresholds."""

    def losses(self) -> Tensor:
        """Return each image's cross-entropy (N,)."""
        return class_losses(self.probabilities, self.targets)

    def report(self, run: RunInfo, split: str, read: ReadReduced) -> str:
        """Return an html page."""
        most_common = float((self.targets == 1).sum(0).max() / len(self.targets))
        values = label_scores_of_page(self)
        return render_page(_TEMPLATE, run, split, label_gallery(self, read), **values, most_common=most_common)
