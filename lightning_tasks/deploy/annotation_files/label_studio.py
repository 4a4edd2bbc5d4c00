"""Label Studio's JSON with pre-annotations: https://labelstud.io/guide/predictions."""

import json
import os
from typing import Any, ClassVar
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

from lightning_tasks.csv_text import distinct_columns
from lightning_tasks.deploy.annotation_files.writer import AnnotationWriter, ImageEntry, Setup, require_xml
from lightning_tasks.tasks.prediction import Annotation, AnnotationNames

_IMAGE, _LABELS, _POINTS = "image", "labels", "points"  # the names of tags in the labelling config
_POINT_WIDTH = 0.5  # of the drawn point, in percent of the image's width


class LabelStudioWriter(AnnotationWriter):
    """A list of tasks, each with its image and one prediction.

    A point at x in an image of width W is at 100 · x / W percent, as Label Studio's own converter from COCO has it.
    Chosen labels are one result of type `choices`, and the prediction's `score` is the lowest of their probabilities,
    by which the Data Manager sorts. Each number is a result of a tag `Number` of its name (`image_` for `image`). After
    a prefix, which makes an address of it, a file name is percent-encoded.
    """

    suffix: ClassVar[str] = ".json"
    setup_ending: ClassVar[str | None] = ".label_config.xml"
    holds: ClassVar[frozenset[str]] = frozenset(("labels", "points", "numbers"))

    def __init__(self, names: AnnotationNames, checkpoint: str, prefix: str) -> None:
        super().__init__(names, checkpoint, prefix)
        require_xml((*names.labels, *names.points, *names.numbers), "label-studio")
        self._tags = dict(zip(names.numbers, distinct_columns(names.numbers, [_IMAGE]), strict=True))

    def entries(self, image: ImageEntry, annotation: Annotation) -> tuple[list[str], ...]:
        """Return the task."""
        results = self._results(image, annotation)
        for number, result in enumerate(results):
            result["id"] = f"{image.position}-{number}"  # no two results of a project may have the same
            result["to_name"] = _IMAGE
        prediction: dict[str, Any] = {"model_version": self.checkpoint, "result": results}
        if annotation.labels:
            prediction["score"] = min(label.score for label in annotation.labels)
        task = {"data": {_IMAGE: self.name_of(image)}, "predictions": [prediction]}
        return ([json.dumps(task, ensure_ascii=False)],)

    def name_of(self, image: ImageEntry) -> str:
        """Return the image's address."""
        return self.prefix + quote(os.fsencode(image.name)) if self.prefix else super().name_of(image)

    def _results(self, image: ImageEntry, annotation: Annotation) -> list[dict[str, Any]]:
        results: list[dict[str, Any]] = []
        if labels := [label.name for label in annotation.labels]:
            results.append({"from_name": _LABELS, "type": "choices", "value": {"choices": labels}})
        size = {"original_width": image.width_px, "original_height": image.height_px, "image_rotation": 0}
        for name, x_px, y_px, score in annotation.points:
            place = {"x": x_px / image.width_px * 100, "y": y_px / image.height_px * 100, "width": _POINT_WIDTH}
            point = {
                "from_name": _POINTS,
                "type": "keypointlabels",
                **size,
                "value": {**place, "keypointlabels": [name]},
            }
            results.append(point if score is None else {**point, "score": score})
        for name, value in annotation.numbers:
            results.append({"from_name": self._tags[name], "type": "number", "value": {"number": value}})
        return results

    def frame(self, num_images: int) -> tuple[str, ...]:
        """Return the list's begin and end."""
        return "[\n", "\n]\n"

    def setup(self) -> Setup:
        """Return the labelling config: the tags that the results name."""
        choice = "single" if self.names.one_label else "multiple"
        lines = [f'  <Image name="{_IMAGE}" value="${_IMAGE}"/>']
        if self.names.labels:
            lines.append(f'  <Choices name="{_LABELS}" toName="{_IMAGE}" choice="{choice}">')
            lines += [f"    <Choice value={quoteattr(label)}/>" for label in self.names.labels]
            lines.append("  </Choices>")
        if self.names.points:
            lines.append(f'  <KeyPointLabels name="{_POINTS}" toName="{_IMAGE}">')
            lines += [f"    <Label value={quoteattr(point)}/>" for point in self.names.points]
            lines.append("  </KeyPointLabels>")
        for name, tag in self._tags.items():
            lines.append(f"  <Header value={quoteattr(name)}/>")
            lines.append(f'  <Number name={quoteattr(tag)} toName="{_IMAGE}"/>')
        text = "\n".join(["<View>", *lines, "</View>", ""])
        return Setup(text, "paste it into the project's Labeling Interface, under Code")

    def hint(self) -> str | None:
        """Return how Label Studio comes by local files, where no prefix says so."""
        if self.prefix:
            return None
        return (
            "Label Studio shows images by their address; of its local storage: --prefix '/data/local-files/?d=FOLDER/'"
        )
