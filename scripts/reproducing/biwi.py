"""The chapter's half on points: BIWI's head centre, 240×320, `fine_tune(3, 1e-2)`."""

from pathlib import Path
from typing import Any

from lightning_tasks import BiwiDataModule, KeypointDataModule, KeypointRegressor
from lightning_tasks.tasks.keypoints.predictions import predict_points
from lightning_tasks.tasks.keypoints.scores import pixel_errors
from reproducing.recipe import Half, Recipe

_SIZE = (240, 320)


def half(recipe: Recipe) -> Half:
    """Return what is BIWI's own, or that of a folder with a points.csv in its place."""
    own_table = (Path(recipe.root) / "points.csv").is_file()
    module = KeypointDataModule if own_table else BiwiDataModule
    data = module(recipe.root, size=_SIZE, batch_size=64)
    return Half(
        config="keypoints.yaml" if own_table else "biwi.yaml",
        frozen_epochs=1,
        epochs=3,
        arguments=("--model.lr", "1e-2", "--data.batch_size", "64"),
        data=data,
        names=lambda: data.point_names,
        batch=lambda: _batch(data),
        score=lambda checkpoint: _score(checkpoint, module),
        spreads=("valid_loss", "median_px", "p95_px"),
        figures=lambda scores: {},
    )


def _batch(data: KeypointDataModule) -> dict[str, Any]:
    """One batch's shapes, and its first point on the −1..1 scale."""
    one = data.one_batch()
    return {
        "images": list(one.images.shape),
        "targets": list(one.points_norm.shape),
        "first_point": one.points_norm[0, 0].tolist(),
    }


def _score(checkpoint: Path, module: type[KeypointDataModule]) -> dict[str, Any]:
    """Score a checkpoint on the validation split, in the pixels of the images on disk."""
    model = KeypointRegressor.load_from_checkpoint(checkpoint, weights_only=True)
    data = module.load_from_checkpoint(checkpoint, weights_only=True)
    found = predict_points(model, data)
    errors_px = pixel_errors(found.points_norm, found.targets_norm, found.visible, found.original_size_px)
    return {"median_px": float(errors_px.quantile(0.5)), "p95_px": float(errors_px.quantile(0.95))}
