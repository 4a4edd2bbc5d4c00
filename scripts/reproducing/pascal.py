"""The chapter's half on labels: PASCAL VOC 2007, 128 px, `fine_tune(3, base_lr=3e-3, freeze_epochs=4)`."""

from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from lightning_tasks import MultiLabelClassifier, PascalDataModule
from lightning_tasks.tasks.multilabel.predictions import predict_labels
from lightning_tasks.tasks.multilabel.scores import accuracy_multi
from lightning_tasks.tasks.multilabel.threshold_curve import CURVE, best_of_curve, threshold_curve, threshold_figure
from reproducing.recipe import Half, Recipe

_THRESHOLDS = (0.1, 0.2, 0.9, 0.99)


def half(recipe: Recipe) -> Half:
    """Return what is PASCAL's own."""
    data = PascalDataModule(recipe.root, size=128, min_scale=0.35, batch_size=64)
    return Half(
        config="pascal.yaml",
        frozen_epochs=4,
        epochs=3,
        arguments=(),
        data=data,
        names=lambda: data.vocab,
        batch=lambda: _batch(data, recipe),
        score=_score,
        spreads=("mAP", "best_accuracy", "valid_loss"),
        figures=lambda scores: {"curve.png": threshold_figure(scores["curve"][1], scores["predicting_nothing"])},
    )


def _batch(data: PascalDataModule, recipe: Recipe) -> dict[str, Any]:
    """One batch's shapes, and its loss by hand and by PyTorch, before any training."""
    torch.manual_seed(recipe.seeds[0])
    model = MultiLabelClassifier(
        data.vocab, recipe.backbone, pretrained=recipe.weights is None, weights=recipe.weights, image_size=(128, 128)
    )
    batch = data.one_batch()
    with torch.no_grad():
        logits = model(batch.images)
    probabilities = logits.sigmoid()
    by_hand = -torch.where(batch.targets == 1, probabilities, 1 - probabilities).log().mean()
    return {
        "images": list(batch.images.shape),
        "targets": list(batch.targets.shape),
        "activations": list(logits.shape),
        "loss_by_hand": float(by_hand),
        "loss_with_logits": float(binary_cross_entropy_with_logits(logits, batch.targets)),
    }


def _score(checkpoint: Path) -> dict[str, Any]:
    """Score a checkpoint on the validation half: four thresholds, the curve of 29, and mAP."""
    model = MultiLabelClassifier.load_from_checkpoint(checkpoint, weights_only=True)
    data = PascalDataModule.load_from_checkpoint(checkpoint, weights_only=True)
    found = predict_labels(model, data)
    curve = [accuracy for _, accuracy in threshold_curve(found.probabilities, found.targets)]
    scores = found.scores()
    return {
        "mAP": scores.mAP,
        "mAP_11": scores.mAP_11,
        "thresholds": {t: accuracy_multi(found.probabilities, found.targets, t) for t in _THRESHOLDS},
        "predicting_nothing": accuracy_multi(torch.zeros_like(found.probabilities), found.targets),
        "curve": [list(CURVE), curve],
        "best_threshold": best_of_curve(curve),
        "best_accuracy": max(curve),
    }
