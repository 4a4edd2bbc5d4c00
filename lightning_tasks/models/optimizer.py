"""fastai's AdamW, in groups by depth."""

from collections.abc import Mapping
from typing import Any, Literal

import torch
from pytorch_lightning import LightningModule
from torch import nn

from lightning_tasks.errors import CheckpointError, ConfigError
from lightning_tasks.models.backbone import Backbone

LearningRate = float | Literal["auto"]
_STAGE = "stage_"
LR_MULT = 10.0  # fastai's


def adamw(
    backbone: Backbone,
    head: nn.Module,
    lr: LearningRate,
    lr_mult: float,
    weight_decay: float,
    fused: bool = True,
    by_stage: bool = False,
) -> torch.optim.AdamW:
    """Return fastai's AdamW over three groups by depth: early body, late body, head.

    The head's rate is `lr`, the early body's `lr / lr_mult`, and the late body's lies between in ratio. Biases and
    normalisation parameters do not decay, so each group comes in two parts; `max_lr` and `name` stand in each, for
    schedules. `fused` updates all in one kernel; see `can_fuse`. `by_stage` makes a group, `stage_0` and so on, of each
    of the body's stages, their rates spaced in equal ratios likewise.
    """
    if lr == "auto":
        raise ConfigError("model.lr is auto, and nothing finds it: add the callback LRFinder, or give a number.")
    if lr <= 0 or lr_mult <= 0 or weight_decay < 0:
        raise ConfigError(f"lr {lr} and lr_mult {lr_mult} must be above 0, weight_decay {weight_decay} not below it.")
    parts = backbone.stages() if by_stage else backbone.parameter_halves()
    names = [stage_name(stage) for stage in range(len(parts))] if by_stage else ["early", "late"]
    groups: list[dict[str, Any]] = []
    for depth, (name, parameters) in enumerate(zip([*names, "head"], [*parts, list(head.parameters())], strict=True)):
        rate = lr / lr_mult ** (1 - depth / len(parts))
        for decays, decay, part in ((True, weight_decay, ""), (False, 0.0, "_no_decay")):
            params = [parameter for parameter in parameters if (parameter.ndim > 1) == decays]
            group = {"params": params, "lr": rate, "max_lr": rate, "weight_decay": decay, "name": f"{name}{part}"}
            groups += [group] if params else []
    return torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.99), eps=1e-5, fused=fused)


def stage_name(stage: int) -> str:
    """Return what the group of one of the body's stages is called, 0 being the earliest."""
    return f"{_STAGE}{stage}"


def require_groups(checkpoint: Mapping[str, Any], by_stage: bool) -> None:
    """Raise CheckpointError unless a checkpoint's optimiser has groups by stage just where the training's has."""
    groups = [group for state in checkpoint.get("optimizer_states", ()) for group in state["param_groups"]]
    if groups and by_stage != any(str(group.get("name")).startswith(_STAGE) for group in groups):
        has, wants = ("without", "with") if by_stage else ("with", "without")
        raise CheckpointError(
            f"The checkpoint is of a training {has} FineTune's stage_decay, and is to be resumed {wants} it. Resume it "
            "with its own settings, or start a new training from it: --model.weights in place of --ckpt_path."
        )


def can_fuse(module: LightningModule) -> bool:
    """Return whether a fused optimiser works for the run that the module is in, if it is in one.

    Lightning refuses to clip gradients in mixed precision where a fused optimiser could unscale them itself, even in
    bf16-mixed, where nothing is scaled.
    """
    trainer = module._trainer
    return trainer is None or not (trainer.precision in ("16-mixed", "bf16-mixed") and trainer.gradient_clip_val)
