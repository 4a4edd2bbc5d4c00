"""The same run twice: with --trainer.deterministic true, are the weights equal to the bit?"""

from functools import partial

import torch

from gpu_checking.step import Check, Kind, each, run

SHORT = (
    *("--trainer.max_epochs", "1", "--trainer.limit_train_batches", "12", "--trainer.limit_val_batches", "3"),
    *("--trainer.deterministic", "true"),
)


def repeat(check: Check) -> None:
    """Train each kind of model twice."""
    kinds: tuple[Kind, ...] = ("labels", "points", "heatmap")
    each(check, {kind: partial(twice, check, kind) for kind in kinds})


def twice(check: Check, kind: Kind) -> str:
    """Train twice, and compare."""
    weights = []
    for _ in range(2):
        check.command(*check.arguments("fit", kind, f"repeat_{kind}", *SHORT))
        last = check.checkpoint(f"repeat_{kind}").with_name("last.ckpt")
        weights.append(torch.load(last, map_location="cpu", weights_only=True)["state_dict"])
    differ = [name for name, value in weights[0].items() if not torch.equal(value, weights[1][name])]
    if differ:
        raise ValueError(f"{len(differ)} of {len(weights[0])} tensors differ, {differ[0]} among them")
    return "equal to the bit"


if __name__ == "__main__":
    run(repeat)
