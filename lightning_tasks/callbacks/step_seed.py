"""The callback that makes each step's random numbers its own."""

import random

import numpy as np
import torch
from pytorch_lightning import Callback, LightningModule, Trainer


class StepSeed(Callback):
    """Seed torch, NumPy and Python before each batch from (seed, step, process).

    A resumed run so drops out the same features as one that was never stopped, and no random state need be kept. The
    order of our data modules follows from (seed, epoch); that of a loader that draws from torch's state does not.

    Args:
        seed: of the run.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: object, batch_idx: int) -> None:
        """Seed."""
        # Accumulated batches share a step.
        key = (self.seed, trainer.global_step, batch_idx, trainer.global_rank)
        first, second, third = (int(word) for word in np.random.SeedSequence(key).generate_state(3))
        torch.manual_seed(first)
        np.random.seed(second)
        random.seed(third)
