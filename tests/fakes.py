"""Tiny data sets, written in the true formats."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from lightning_tasks.data.images.opencv import cv2
from lightning_tasks.tasks.keypoints.sample import draw_biwi
from lightning_tasks.tasks.multilabel.pascal import draw_pascal
from lightning_tasks.tasks.multilabel.predictions import LabelPredictions

__all__ = [
    "FLAGS",
    "LABELS",
    "POINTS",
    "draw_biwi",
    "draw_pascal",
    "label_predictions",
    "write_image",
    "write_multilabel",
    "write_points",
    "write_pose",
    "write_voc",
    "write_voc_annotation",
]

# Eight images with labels, and with two points; the last two are for validation.
LABELS = ["fname,labels,is_valid", *(f"{i}.jpg,{'cat' if i % 2 else 'dog'},{i >= 6}" for i in range(8))]
POINTS = ["fname,is_valid,l_x,l_y,r_x,r_y", *(f"{i}.jpg,{i >= 6},5,6,{9 + i},7" for i in range(8))]

# Tiny, quiet runs on the CPU.
FLAGS = [
    *("--data.num_workers", "0"),
    *("--model.backbone", "test_resnet"),
    *("--trainer.accelerator", "cpu"),
    *("--trainer.enable_progress_bar", "false"),
]


def write_image(path: Path, size: tuple[int, int] = (24, 32), seed: int = 0) -> None:
    """Write an image of random pixels of `size` (height, width)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    path.write_bytes(cv2.imencode(path.suffix, pixels)[1].tobytes())


def write_multilabel(root: Path, lines: Sequence[str], n_images: int = 8) -> Path:
    """Write `labels.csv` of `lines` and the images 0.jpg to (n_images - 1).jpg; return the csv."""
    for i in range(n_images):
        write_image(root / f"{i}.jpg", seed=i)
    (root / "labels.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return root / "labels.csv"


def write_points(root: Path, lines: Sequence[str], n_images: int = 8) -> Path:
    """Write `points.csv` of `lines` and the images 0.jpg to (n_images - 1).jpg; return the csv."""
    write_multilabel(root, [], n_images)
    (root / "labels.csv").unlink()
    (root / "points.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return root / "points.csv"


def write_pose(path: Path, centre_mm: Sequence[float]) -> None:
    """Write a pose file with the identity as rotation."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"1 0 0 \n0 1 0 \n0 0 1 \n\n{' '.join(map(str, centre_mm))} \n", encoding="ascii")


VocObject = tuple[str, bool]  # its class, and whether it is difficult
_OBJECT = """	<object>
		<name>{name}</name>
		<pose>Unspecified</pose>
		<truncated>1</truncated>
		<difficult>{difficult:d}</difficult>
		<bndbox>
			<xmin>1</xmin>
			<ymin>1</ymin>
			<xmax>20</xmax>
			<ymax>20</ymax>
		</bndbox>
		<part>
			<name>head</name>
			<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>4</xmax><ymax>4</ymax></bndbox>
		</part>
	</object>
"""


def write_voc_annotation(path: Path, objects: Sequence[VocObject]) -> None:
    """Write an annotation as VOC2007 has them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    body = "".join(_OBJECT.format(name=name, difficult=difficult) for name, difficult in objects)
    head = (
        f"\t<folder>VOC2007</folder>\n\t<filename>{path.stem}.jpg</filename>\n\t<source>\n\t\t<image>flickr</image>\n"
        "\t</source>\n\t<owner>\n\t\t<name>?</name>\n\t</owner>\n\t<segmented>0</segmented>\n"
    )
    path.write_text(f"<annotation>\n{head}{body}</annotation>\n", encoding="utf-8")


def write_voc(tree: Path, image_sets: Mapping[str, Mapping[str, Sequence[VocObject]]]) -> None:
    """Write a tree `VOC2007`: of each image set (train, val, test) its images, called by numbers, and trainval.

    Each class also has its lists, such as `cat_train.txt`: 1 where an image shows one, 0 where it shows difficult ones
    alone, −1 where none.
    """
    lists = {"trainval": {**image_sets.get("train", {}), **image_sets.get("val", {})}, **image_sets}
    main = tree / "ImageSets" / "Main"
    main.mkdir(parents=True, exist_ok=True)
    for name, images in lists.items():
        ordered = sorted(images)
        (main / f"{name}.txt").write_text("".join(f"{image}\n" for image in ordered), encoding="ascii")
        for kind in {kind for objects in images.values() for kind, _ in objects}:
            lines = []
            for image in ordered:
                difficult = [hard for other, hard in images[image] if other == kind]
                lines.append(f"{image} {-1 if not difficult else 0 if all(difficult) else 1:2d}\n")
            (main / f"{kind}_{name}.txt").write_text("".join(lines), encoding="ascii")
        for image, objects in images.items():
            write_voc_annotation(tree / "Annotations" / f"{image}.xml", objects)
            write_image(tree / "JPEGImages" / f"{image}.jpg", seed=int(image))


def label_predictions(
    probabilities: torch.Tensor,
    targets: torch.Tensor,
    vocab: list[str],
    *,
    thresholds: torch.Tensor | None = None,
    paths: Sequence[Path] = (),
    kind: type[LabelPredictions] = LabelPredictions,
    **more: object,
) -> LabelPredictions:
    """Return predictions of N images with C labels; None as thresholds: 0.5 for each."""
    limits = torch.full((len(vocab),), 0.5) if thresholds is None else thresholds
    given = {
        "rows": torch.arange(len(probabilities)),
        "paths": tuple(paths),
        "groups": (),
        "predicted": probabilities > limits,
        "logits": probabilities.logit(),
        "thresholds": limits,
    }
    return kind(vocab=vocab, probabilities=probabilities, targets=targets, **{**given, **more})
