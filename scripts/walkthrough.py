# %%
"""fastai's chapter on multi-label classification and image regression, step by step, in PyTorch Lightning.

    python scripts/walkthrough.py                                # drawn images, from nothing, some minutes
    python scripts/walkthrough.py --root data --pretrained true  # data/pascal_2007 and data/biwi_head_pose

The cells open as a notebook in every editor that knows percent cells. Images go to the folder `walkthrough`.
"""

import argparse
import logging
import math
import warnings
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
import torch
from matplotlib.figure import Figure
from torch.nn.functional import binary_cross_entropy_with_logits

from lightning_tasks import (
    BiwiDataModule,
    BiwiSampleDataModule,
    FineTune,
    KeypointRegressor,
    LRFinder,
    MultiLabelClassifier,
    PascalDataModule,
    PascalSampleDataModule,
)
from lightning_tasks.callbacks.epoch_table import EpochTable
from lightning_tasks.models.heads import sigmoid_range
from lightning_tasks.tasks.keypoints.biwi_files import project_calibrated, project_fastbook, read_calibration, read_pose
from lightning_tasks.tasks.keypoints.predictions import predict_points
from lightning_tasks.tasks.multilabel.predictions import predict_labels
from lightning_tasks.tasks.multilabel.scores import accuracy_multi
from lightning_tasks.tasks.multilabel.threshold_curve import best_of_curve, threshold_curve, threshold_figure
from lightning_tasks.verbs.show_batch import show_batch
from lightning_tasks.verbs.show_results import show_results
from lightning_tasks.verbs.summary import summary

parser = argparse.ArgumentParser(description="fastai's chapter 6, step by step")
parser.add_argument("--root", type=Path, help="holds pascal_2007 and biwi_head_pose; else images are drawn")
parser.add_argument("--folder", type=Path, default=Path("walkthrough"), help="for what is written")
parser.add_argument("--backbone", default="resnet10t")
parser.add_argument("--pretrained", type=lambda word: word == "true", default=False, help="true: fetch its weights")
parser.add_argument("--weights", help="a file of its weights")
parser.add_argument("--frozen_epochs", type=int, default=4)
parser.add_argument("--epochs", type=int, default=3)
parser.add_argument("--steps", type=int, default=100, help="of the learning-rate finder")
settings, _ = parser.parse_known_args()  # a notebook has arguments of its own
settings.folder.mkdir(parents=True, exist_ok=True)
logging.getLogger("pytorch_lightning.utilities.rank_zero").setLevel(logging.WARNING)  # its tips
warnings.filterwarnings("ignore", message="`isinstance\\(treespec, LeafSpec")  # Lightning's own affair with torch
pl.seed_everything(42, verbose=False)


def keep(name: str, figure: Figure) -> None:
    """Write a figure, and say where."""
    figure.savefig(settings.folder / name, dpi=80)
    print(f"[image: {settings.folder / name}]")


def trainer(*callbacks: pl.Callback, epochs: int) -> pl.Trainer:
    """Return a Trainer that prints a row an epoch and leaves no files."""
    return pl.Trainer(
        max_epochs=epochs,
        callbacks=[*callbacks, EpochTable()],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )


# %% [markdown]
# ## Several labels an image
# A csv names the images and their labels.

# %%
if settings.root is None:
    data = PascalSampleDataModule(str(settings.folder / "pascal_sample"), size=96, batch_size=16)
else:
    data = PascalDataModule(str(settings.root / "pascal_2007"), size=128, min_scale=0.35, batch_size=64)
data.prepare_data()
print(data.table.head())

# %% [markdown]
# The splitter takes the column `is_valid`; the vocabulary is the training labels, sorted.

# %%
train_rows, valid_rows = data.split
print(f"{len(train_rows)} training and {len(valid_rows)} validation images")
print(f"{len(data.vocab)} labels: {', '.join(data.vocab)}")

# %% [markdown]
# `DataBlock.summary`: one sample through every step, then a batch.

# %%
print(summary(data, torch.device("cpu")))

# %%
keep("labels_batch.png", show_batch(data, 9, originals=False))
batch = data.one_batch()
print(f"images {tuple(batch.images.shape)} {batch.images.dtype}, targets {tuple(batch.targets.shape)}")
first = batch.targets[0].nonzero().flatten().tolist()
print(f"the first image's targets: {[data.vocab[label] for label in first]}")

# %% [markdown]
# ## Binary cross-entropy
# One activation a label. The loss by hand, and what PyTorch gives on the logits. (The chapter's own line has the two
# arms of `torch.where` the wrong way round.)

# %%
classifier = MultiLabelClassifier(
    data.vocab,
    settings.backbone,
    pretrained=settings.pretrained,
    weights=settings.weights,
    image_size=data.image_size,
    threshold=0.2,
    lr=3e-3,
    lr_mult=1.0 if settings.root is None else 10.0,
)
with torch.no_grad():
    logits = classifier(batch.images)
print(f"activations {tuple(logits.shape)}")
probabilities = logits.sigmoid()
by_hand = -torch.where(batch.targets == 1, probabilities, 1 - probabilities).log().mean()
with_logits = binary_cross_entropy_with_logits(logits, batch.targets)
print(f"loss by hand {by_hand:.6f}, BCEWithLogits {with_logits:.6f}")
assert torch.allclose(by_hand, with_logits, atol=1e-5)

# %% [markdown]
# ## The learning rate, and `fine_tune`
# The sweep trains nothing: weights are put back.

# %%
finder = LRFinder(steps=settings.steps, only=True)
trainer(finder, FineTune(epochs=1), epochs=2).fit(classifier, data)

# %%
plan = FineTune(epochs=settings.epochs, freeze_epochs=settings.frozen_epochs, base_lr=3e-3)
trainer(plan, epochs=plan.max_epochs).fit(classifier, data)

# %% [markdown]
# ## Thresholds
# Predictions once, then any threshold. `accuracy_multi` is over all cells, so read it beside what predicting nothing
# scores: the first of the chapter's two hidden faults.

# %%
found = predict_labels(classifier, data)
for threshold in (0.1, 0.2, 0.9, 0.99):
    print(f"accuracy_multi at {threshold}: {accuracy_multi(found.probabilities, found.targets, threshold):.4f}")
nothing = accuracy_multi(torch.zeros_like(found.probabilities), found.targets)
print(f"predicting nothing: {nothing:.4f}")
accuracies = [accuracy for _, accuracy in threshold_curve(found.probabilities, found.targets)]
print(f"the best of 29 thresholds: {best_of_curve(accuracies):.3f}, {max(accuracies):.4f}")
keep("thresholds.png", threshold_figure(accuracies, nothing))
keep("labels_results.png", show_results(found, 9, worst=False).figure)

# %% [markdown]
# ## A point in an image
# BIWI: for each frame an image and a pose file, whose last line is the head's centre in millimetres; for each sequence
# a camera.

# %%
if settings.root is None:
    heads = BiwiSampleDataModule(str(settings.folder / "biwi_sample"), size=(120, 160), batch_size=16)
else:
    heads = BiwiDataModule(str(settings.root / "biwi_head_pose"), validation_sequences=[13], size=(240, 320))
heads.prepare_data()
row = heads.table.iloc[0]
pose = heads.root / row.fname.replace("_rgb.jpg", "_pose.txt").replace("_rgb.png", "_pose.txt")
camera = read_calibration(pose.parent / "rgb.cal")
_, centre_mm = read_pose(pose)
print(f"{row.fname}: centre {centre_mm} mm; camera {camera.intrinsics.tolist()}")
print(f"as the book projects it: {project_fastbook(centre_mm, camera.intrinsics)} px")

# %% [markdown]
# The second hidden fault: the centre is in the depth camera's frame, and the book leaves out the way from there to the
# camera that took the image, which stands in the same file. This is how far its labels lie from the true ones.

# %%
all_mm = np.stack([read_pose(path)[1] for path in sorted(pose.parent.glob("frame_*_pose.txt"))])
apart_px = np.linalg.norm(project_fastbook(all_mm, camera.intrinsics) - project_calibrated(all_mm, camera), axis=1)
print(f"the two label frames are {np.median(apart_px):.1f} px apart (median of sequence {row.sequence})")

# %% [markdown]
# The splitter keeps a person for validation. Points go through the same geometry as their images, and are scaled to
# −1..1.

# %%
print(heads.describe())
keep("points_batch.png", show_batch(heads, 9, originals=False))
points_batch = heads.one_batch()
print(f"images {tuple(points_batch.images.shape)}, points {tuple(points_batch.points_norm.shape)}")
print(f"the first image's point, on -1..1: {points_batch.points_norm[0].tolist()}")

# %% [markdown]
# `sigmoid_range`: predictions cannot leave the image.

# %%
print(f"sigmoid_range of -8, 0, 8: {sigmoid_range(torch.tensor([-8.0, 0, 8]), -1, 1).tolist()}")
regressor = KeypointRegressor(
    heads.point_names,
    settings.backbone,
    pretrained=settings.pretrained,
    weights=settings.weights,
    image_size=heads.image_size,
    y_range=(-1, 1),
    lr=1e-2,
    lr_mult=1.0 if settings.root is None else 10.0,
)
finder = LRFinder(steps=settings.steps, only=True)
trainer(finder, FineTune(epochs=1), epochs=2).fit(regressor, heads)

# %%
plan = FineTune(epochs=settings.epochs, freeze_epochs=1, base_lr=1e-2)
points_trainer = trainer(plan, epochs=plan.max_epochs)
points_trainer.fit(regressor, heads)
mse = float(points_trainer.callback_metrics["val/loss"])
print(f"validation MSE {mse:.6f}: a root of {math.sqrt(mse):.4f} on the -1..1 scale")
points = predict_points(regressor, heads)
errors_px = points.errors_px()[points.visible]
print(f"median error {errors_px.quantile(0.5):.1f} px in the original images")
keep("points_results.png", show_results(points, 9, worst=False).figure)
