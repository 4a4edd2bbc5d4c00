"""What a model of any task predicts, for everybody who hands it on: tables, JSON, drawings, exports and the server."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, NamedTuple, Self, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lightning_tasks.data.images.decode import Size
from lightning_tasks.data.loading.dataset import ImageDataset
from lightning_tasks.data.transforms.tensor_resize import Preprocess
from lightning_tasks.errors import ConfigError
from lightning_tasks.models.base import ImageModel
from lightning_tasks.models.means import mean_of_views
from lightning_tasks.reports.canvas import Canvas


class InferenceModule(nn.Module, ABC):
    """A trained model with its preprocessing: (B, H, W, 3) uint8 RGB in, outputs (B, ...) float32 out.

    It is what exports write, of a model on the CPU: a LightningModule's metrics and trainer have no place there.
    """

    def __init__(self, model: ImageModel, preprocess: Preprocess) -> None:
        super().__init__()
        self.preprocess = preprocess
        self.backbone = model.backbone
        self.head = model.head

    @abstractmethod
    def predict(self, inputs: Tensor) -> Tensor:
        """Return outputs (B, ...) float32 for what `preprocess` returns; averages over views are taken of these."""

    def forward(self, images: Tensor) -> Tensor:
        """Return outputs for (B, H, W, 3) uint8 RGB, as a caller wants them."""
        return self.predict(self.preprocess(images))


class Columns(NamedTuple):
    """The columns of what is predicted, in any table."""

    texts: tuple[str, ...]  # our own words
    numbers: tuple[str, ...]  # a user's; where one is called like another column, see `csv_text.distinct_columns`


class ScoredLabel(NamedTuple):
    """A label of a whole image."""

    name: str
    score: float  # its probability


class NamedPoint(NamedTuple):
    """A point of an image; the centre of the top-left pixel is (0, 0)."""

    name: str
    x_px: float
    y_px: float
    score: float | None = None  # how sure the model is of it; None: it does not say


class NamedNumber(NamedTuple):
    """A number of a whole image, in its own unit."""

    name: str
    value: float


class Annotation(NamedTuple):
    """What is predicted for an image, in the terms that annotation tools share; numbers as tables have them."""

    labels: tuple[ScoredLabel, ...] = ()  # those that are chosen, the likeliest first
    points: tuple[NamedPoint, ...] = ()
    numbers: tuple[NamedNumber, ...] = ()


class AnnotationNames(NamedTuple):
    """What may stand in an `Annotation` of a checkpoint, which tools want to know beforehand."""

    labels: tuple[str, ...] = ()
    points: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    one_label: bool = False  # each image has exactly one of the labels

    @property
    def kinds(self) -> list[str]:
        """What there is: `labels`, `points`, `numbers`."""
        return [kind for kind in Annotation._fields if getattr(self, kind)]


class Prediction(ABC):
    """What the model predicts for one image."""

    @abstractmethod
    def cells(self) -> tuple[list[str], NDArray[np.float32]]:
        """Return the texts and the numbers for the format's `columns`."""

    @abstractmethod
    def as_json(self) -> dict[str, Any]:
        """Return what stands in a JSON file, numbers rounded to 6 decimals."""

    @abstractmethod
    def draw(self, canvas: Canvas) -> None:
        """Draw it on its image."""

    def annotation(self) -> Annotation:
        """Return what annotation tools can show of it."""
        return Annotation()


@dataclass
class Answer:
    """What the server answers of an image; a task's own class adds a list with a row (a dataclass) for each output.

    The page draws bars for rows with `probability` and `chosen`, marks on the image for rows with `x_px` and `y_px`,
    and shows all but bars as a table.
    """

    width_px: int = field(metadata={"description": "Of the image, turned as its EXIF orientation says."})
    height_px: int


P = TypeVar("P", bound=Prediction)


class OutputFormat(ABC, Generic[P]):
    """What a checkpoint's outputs mean."""

    noun: ClassVar[str]  # what one of the outputs is called
    output_name: ClassVar[str]  # of the outputs in an exported file
    unit_scale: ClassVar[str]  # what `to_unit_scale` returns differences of
    score_name: ClassVar[str]  # of `score`, with its unit
    description: ClassVar[str]  # what the model does, after "The model"; {}: the number of outputs and their noun
    schema: ClassVar[type[Answer]]  # of `answer`, from which the server makes its description
    names: tuple[str, ...]  # of the outputs
    views_tell_uncertainty: ClassVar[bool] = True  # an image alone does not: see `uncertainty`
    mirrored_is_a_view: ClassVar[bool] = False  # what is predicted for a mirrored image can be put back, where known

    @abstractmethod
    def decode(self, outputs: Tensor, sizes: Sequence[Size]) -> list[P]:
        """Return predictions for `InferenceModule.predict`'s outputs (B, ...) on the CPU and B heights and widths."""

    @abstractmethod
    def columns(self) -> Columns:
        """Return the columns of a prediction's `cells`."""

    @abstractmethod
    def metadata(self) -> dict[str, Any]:
        """Return what an exported file says of its output: a `task`, an `output`, names and all that decodes it."""

    def describe(self) -> str:
        """Return what the model does: `says which of 20 labels an image has`."""
        count = len(self.names)
        return self.description.format(f"{count:,} {self.noun}{'' if count == 1 else 's'}")

    @abstractmethod
    def as_json(self) -> dict[str, Any]:
        """Return what the server says of the model: its outputs by the answer's key, such as `{"labels": [...]}`."""

    @abstractmethod
    def answer(self, prediction: P) -> dict[str, Any]:
        """Return what the server answers; it adds the image's size."""

    @abstractmethod
    def score(self, outputs: NDArray[np.float32], dataset: ImageDataset[Any], rows: Sequence[int]) -> float:
        """Return how good an exported file's outputs (n, ...) are for these n rows of a data set; NaN: not known."""

    def annotation_names(self) -> AnnotationNames:
        """Return what a prediction's `annotation` may name; nothing: annotation tools have no place for it."""
        return AnnotationNames()

    def combine(self, views: Sequence[Tensor]) -> Tensor:
        """Return outputs (B, ...) from those of several views of the same images."""
        return mean_of_views(views)

    def convert(self, outputs: Tensor, other: Self) -> Tensor:
        """Return outputs (B, ...) of another checkpoint, whose format `other` is, as this format has them."""
        return outputs

    def merged(self, others: Sequence["OutputFormat[Any]"]) -> Self:
        """Return the format of the mean of outputs in this format and in others, as far as `convert` has made them so.

        Raises:
            ConfigError: they are not of one task, or have other names or another order of them.
        """
        for other in others:
            if type(other) is not type(self) or other.names != self.names:
                mine, theirs = (f"{form.noun}s {', '.join(form.names)}" for form in (self, other))
                raise ConfigError(
                    f"The checkpoints do not predict the same: one the {mine}; another the {theirs}. An ensemble has "
                    "one list of names, in one order."
                )
        return self

    def unmirror(self, outputs: Tensor, width_px: int) -> Tensor:
        """Return outputs (B, ...) of images for those of the mirrored images, which were `width_px` wide."""
        return outputs

    def uncertainty(self, views: Sequence[Tensor]) -> Tensor:
        """Return how unsure the model is of images (B,), the higher the more, from outputs (B, ...) for their views.

        It is how far the views are apart: the root of the outputs' mean variance over the V views.
        """
        spread: Tensor = torch.stack(list(views)).var(0, correction=0).flatten(1).mean(1).sqrt()
        return spread

    def require_flip(self) -> None:
        """Raise ConfigError where `unmirror` cannot know what to do."""

    def with_threshold(self, threshold: float) -> Self:
        """Return the format with a threshold for its own; ConfigError: there is none here, or it is no probability."""
        raise ConfigError(f"A threshold is for labels; this checkpoint predicts {self.noun}s.")

    def to_unit_scale(self, differences: NDArray[np.float32], size: Size) -> NDArray[np.float32]:
        """Return differences of outputs (B, ...) for images of a height and width such that 1 is a large one."""
        return differences


def as_in_tables(number: np.float32) -> float:
    """Return the number with the 6 decimals that a csv has of it."""
    return round(float(number), 6)


def shortest(number: np.float32) -> float:
    """Return the number with the fewest digits that is this one in float32: 0.2, not 0.20000000298023224."""
    return float(str(number))
