"""CVAT's XML for images, version 1.1: https://docs.cvat.ai/docs/dataset_management/formats/format-xml/."""

import json
import math
from collections.abc import Iterable
from typing import Any, ClassVar
from xml.sax.saxutils import escape, quoteattr

from lightning_tasks.deploy.annotation_files.writer import AnnotationWriter, ImageEntry, Setup, require_xml
from lightning_tasks.filesystem import as_text
from lightning_tasks.tasks.prediction import Annotation, AnnotationNames

_SKELETON, _NUMBERS = "object", "numbers"  # labels of our own


class CvatWriter(AnnotationWriter):
    """Images with their labels as tags, points as one skeleton, and numbers as text attributes of one tag.

    CVAT looks for its frame by the image's name, and where there is none of it by the image's id, its place among all
    images that were asked for. Labels that the task does not have are refused there: see `setup`. It has no place for
    probabilities.
    """

    suffix: ClassVar[str] = ".xml"
    setup_ending: ClassVar[str | None] = ".labels.json"
    holds: ClassVar[frozenset[str]] = frozenset(("labels", "points", "numbers"))
    separator: ClassVar[str] = "\n"

    def __init__(self, names: AnnotationNames, checkpoint: str, prefix: str) -> None:
        super().__init__(names, checkpoint, prefix)
        require_xml((*names.labels, *names.points, *names.numbers, self.checkpoint, self.prefix), "cvat")

    def entries(self, image: ImageEntry, annotation: Annotation) -> tuple[list[str], ...]:
        """Return the image's element."""
        size = _attributes(width=image.width_px, height=image.height_px)
        lines = [f"  <image{_attributes(id=image.position, name=self.name_of(image))}{size}>"]
        lines += [f'    <tag{_attributes(label=label.name)} source="auto"></tag>' for label in annotation.labels]
        if annotation.points:
            lines.append(f'    <skeleton{_attributes(label=_SKELETON)} source="auto" z_order="0">')
            lines += [
                f'      <points{_attributes(label=point.name)} source="auto" outside="0" occluded="0"'
                f"{_attributes(points=f'{point.x_px!r},{point.y_px!r}')}></points>"
                for point in annotation.points
            ]
            lines.append("    </skeleton>")
        if annotation.numbers:
            lines.append(f'    <tag{_attributes(label=_NUMBERS)} source="auto">')
            lines += [
                f"      <attribute{_attributes(name=number.name)}>{number.value!r}</attribute>"
                for number in annotation.numbers
            ]
            lines.append("    </tag>")
        return (["\n".join([*lines, "  </image>"])],)

    def require_file_names(self, names: Iterable[str]) -> None:
        """Raise ConfigError where XML cannot hold an image's name."""
        require_xml(map(as_text, names), "cvat")

    def frame(self, num_images: int) -> tuple[str, ...]:
        """Return the file's begin, which describes the labels, and its end."""
        labels = "\n".join(line for label in self._labels() for line in _described(label))
        head = f"""<?xml version="1.0" encoding="utf-8"?>
<annotations>
  <version>1.1</version>
  <meta>
    <task>
      <name>Predictions of {escape(self.checkpoint)}</name>
      <size>{num_images}</size>
      <mode>annotation</mode>
      <labels>
{labels}
      </labels>
    </task>
  </meta>
"""
        return head, "\n</annotations>\n"

    def setup(self) -> Setup:
        """Return the labels as CVAT's own editor has them."""
        text = json.dumps(self._labels(), indent=1, ensure_ascii=False) + "\n"
        return Setup(text, "make the task with it: paste it into Labels, under Raw")

    def _labels(self) -> list[dict[str, Any]]:
        labels: list[dict[str, Any]] = [{"name": label, "type": "tag", "attributes": []} for label in self.names.labels]
        if self.names.points:
            points = [{"name": point, "type": "points", "attributes": []} for point in self.names.points]
            svg = _circle_of(self.names.points)
            labels.append({"name": _SKELETON, "type": "skeleton", "attributes": [], "sublabels": points, "svg": svg})
        if self.names.numbers:
            text = {"mutable": False, "input_type": "text", "default_value": "", "values": [""]}
            attributes = [{"name": number, **text} for number in self.names.numbers]
            labels.append({"name": _NUMBERS, "type": "tag", "attributes": attributes})
        return labels


def _described(label: dict[str, Any], parent: str | None = None) -> list[str]:
    """Return the lines of a label in the file's meta, and of the labels below it."""
    lines = ["        <label>", f"          <name>{escape(label['name'])}</name>"]
    lines += [f"          <type>{label['type']}</type>", "          <attributes>"]
    for attribute in label["attributes"]:
        lines.append(f"            <attribute><name>{escape(attribute['name'])}</name><mutable>False</mutable>")
        lines.append(
            "            <input_type>text</input_type><default_value></default_value><values></values></attribute>"
        )
    lines.append("          </attributes>")
    lines += [f"          <svg>{escape(label['svg'])}</svg>"] if "svg" in label else []
    lines += [f"          <parent>{escape(parent)}</parent>"] if parent is not None else []
    lines.append("        </label>")
    return lines + [line for below in label.get("sublabels", ()) for line in _described(below, label["name"])]


def _circle_of(points: tuple[str, ...]) -> str:
    """Return a template of a skeleton, which CVAT asks for: its points on a circle, in 100 by 100."""
    nodes = []
    for number, point in enumerate(points, 1):
        turn = 2 * math.pi * (number - 1) / len(points)
        place = _attributes(cx=round(50 - 40 * math.sin(turn), 2), cy=round(50 - 40 * math.cos(turn), 2))
        ids = f'data-type="element node" data-element-id="{number}" data-node-id="{number}"'
        nodes.append(f'<circle r="0.75"{place} {ids} data-label-name={quoteattr(point)}></circle>')
    return "".join(nodes)


def _attributes(**values: str | float) -> str:
    return "".join(f" {name}={quoteattr(str(value))}" for name, value in values.items())
