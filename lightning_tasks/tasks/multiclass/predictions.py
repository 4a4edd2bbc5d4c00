"""What a model of exactly one label an image predicts for a whole split, beside what is true."""

from torch import Tensor

from lightning_tasks.tasks.multiclass.scores import class_losses
from lightning_tasks.tasks.multilabel.predictions import LabelPredictions


class ClassPredictions(LabelPredictions):
    """N images with exactly one of C labels each; see `LabelPredictions`."""

    def losses(self) -> Tensor:
        """Return each image's cross-entropy (N,); see `class_losses`."""
        return class_losses(self.probabilities, self.targets)
