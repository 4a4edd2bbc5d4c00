"""COCO's JSON: https://cocodataset.org/#format-data, as pycocotools reads it."""

import json
from itertools import count
from typing import Any, ClassVar

from lightning_tasks.deploy.annotation_files.writer import AnnotationWriter, ImageEntry
from lightning_tasks.tasks.prediction import Annotation, AnnotationNames

_ANNOTATED = 2  # COCO's visibility of a point that is annotated and seen


class CocoWriter(AnnotationWriter):
    """A data set with predictions as annotations, and as in COCO's results a `score` where there is one.

    Points are one object an image, of the category `object`, with the points' box and all of them visible. COCO has no
    labels of whole images: each label is a category, and an object as large as the image. Ids count from 1; an image's
    is its place among all that were asked for.
    """

    suffix: ClassVar[str] = ".json"
    holds: ClassVar[frozenset[str]] = frozenset(("labels", "points"))
    sections: ClassVar[int] = 2

    def __init__(self, names: AnnotationNames, checkpoint: str, prefix: str) -> None:
        super().__init__(names, checkpoint, prefix)
        self._category_ids = {label: number for number, label in enumerate(names.labels, 1)}
        self._ids = count(1)

    def entries(self, image: ImageEntry, annotation: Annotation) -> tuple[list[str], ...]:
        """Return the image, and its annotations."""
        width, height = image.width_px, image.height_px
        described = {"id": image.position + 1, "file_name": self.name_of(image), "width": width, "height": height}
        objects: list[dict[str, Any]] = [
            {"category_id": self._category_ids[label], **_box(0, 0, width, height), "score": score}
            for label, score in annotation.labels
        ]
        if points := annotation.points:
            xs, ys = [point.x_px for point in points], [point.y_px for point in points]
            flat = [number for x, y in zip(xs, ys, strict=True) for number in (x, y, _ANNOTATED)]
            box = _box(min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys))
            objects.append({"category_id": 1, "keypoints": flat, "num_keypoints": len(points), **box})
        ids = {"image_id": image.position + 1, "iscrowd": 0, "segmentation": []}
        return [_text(described)], [_text({"id": next(self._ids), **ids, **found}) for found in objects]

    def frame(self, num_images: int) -> tuple[str, ...]:
        """Return the file's begin with the categories, what stands before the annotations, and its end."""
        categories: list[dict[str, Any]] = [
            {"id": number, "name": label, "supercategory": ""} for label, number in self._category_ids.items()
        ]
        if points := list(self.names.points):
            categories = [{"id": 1, "name": "object", "supercategory": "", "keypoints": points, "skeleton": []}]
        head = {
            "info": {"description": f"Predictions of {self.checkpoint}"},
            "licenses": [],
            "categories": categories,
        }
        return f'{_text(head)[:-1]}, "images": [\n', '\n], "annotations": [\n', "\n]}\n"


def _box(x_px: float, y_px: float, width_px: float, height_px: float) -> dict[str, Any]:
    box = (round(number, 6) for number in (x_px, y_px, width_px, height_px))
    return {"bbox": list(box), "area": round(width_px * height_px, 6)}


def _text(entry: dict[str, Any]) -> str:
    return json.dumps(entry, ensure_ascii=False)
