"""Write the values that fastai computes, for the tests to hold ours to: tests/golden/fastai.json.

Run it in a throw-away environment that has fastai (2.8.12 wrote the file that is committed):
    python -m venv golden && golden/bin/pip install fastai && golden/bin/python scripts/fastai_golden.py

The model and its data are tiny, drawn here, and written into the file with the results, so that the tests need neither
fastai nor the same random numbers.
"""

import json
from pathlib import Path

import fastai
import numpy as np
import torch
from fastai.vision.all import (
    Callback,
    CrossEntropyLossFlat,
    DataLoader,
    DataLoaders,
    Learner,
    PointScaler,
    TensorPoint,
    create_head,
    minimum,
    params,
    sigmoid_range,
    slide,
    steep,
    valley,
)
from torch import nn

OUTPUT = Path(__file__).parents[1] / "tests" / "golden" / "fastai.json"
EPOCHS, FREEZE_EPOCHS, BATCHES, BATCH, BASE_LR = 3, 2, 5, 4, 3e-3
SUGGESTIONS = (valley, slide, minimum, steep)


def tiny_model() -> nn.Sequential:
    """Three groups with a normalisation layer each in the body: early, late, head."""
    early = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2, bias=False), nn.BatchNorm2d(4), nn.ReLU())
    late = nn.Sequential(nn.Conv2d(4, 6, 3, bias=False), nn.BatchNorm2d(6), nn.ReLU())
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3))
    return nn.Sequential(early, late, head)


class Record(Callback):
    """Keep what the optimiser uses for each batch, and fastai's smoothed loss."""

    def __init__(self) -> None:
        self.lrs, self.momentums, self.losses, self.smoothed = [], [], [], []

    def before_step(self) -> None:
        """The hyper-parameters of this step."""
        self.lrs.append([float(hyper["lr"]) for hyper in self.opt.hypers])
        self.momentums.append(float(self.opt.hypers[-1]["mom"]))

    def after_batch(self) -> None:
        """The losses of this step."""
        if self.training:
            self.losses.append(float(self.loss))


class Smooth(Callback):
    """Keep the recorder's smoothed loss, after the recorder has seen the batch."""

    order = 60

    def __init__(self, record: Record) -> None:
        self.record = record

    def after_batch(self) -> None:
        """The debiased moving average."""
        if self.training:
            self.record.smoothed.append(float(self.learn.recorder.smooth_loss.value))


def listed(state: dict[str, torch.Tensor]) -> dict[str, object]:
    """A state dict as plain lists."""
    return {key: value.tolist() for key, value in state.items()}


def tiny_data() -> tuple[torch.Tensor, torch.Tensor, nn.Sequential]:
    """ImageStore, targets and the model, the same at each call."""
    torch.manual_seed(0)
    images = (torch.randn(BATCHES * BATCH, 3, 8, 8) * 8).round() / 8  # few digits, exact in binary
    targets = torch.randint(0, 3, (BATCHES * BATCH,))
    return images, targets, tiny_model()


def tiny_learner() -> Learner:
    """The tiny model on its data, in batches that are always the same."""
    images, targets, model = tiny_data()
    pairs = list(zip(images, targets, strict=True))
    loaders = DataLoaders(DataLoader(pairs, bs=BATCH, shuffle=False), DataLoader(pairs, bs=BATCH, shuffle=False))
    return Learner(
        loaders,
        model,
        loss_func=CrossEntropyLossFlat(),
        splitter=lambda m: [params(m[0]), params(m[1]), params(m[2])],
    )


def run(method: str) -> dict[str, object]:
    """Train the tiny model and return what happened."""
    record = Record()
    learner = tiny_learner()
    learner.add_cbs([record, Smooth(record)])
    with learner.no_bar(), learner.no_logging():
        if method == "fine_tune":
            learner.fine_tune(EPOCHS, base_lr=BASE_LR, freeze_epochs=FREEZE_EPOCHS)
        else:
            learner.fit_one_cycle(EPOCHS, BASE_LR)
    return {
        "final": listed(learner.model.state_dict()),
        "lrs": record.lrs,
        "momentums": record.momentums,
        "losses": record.losses,
        "smoothed": record.smoothed,
    }


def sweep(frozen: bool = False, max_lr: float = 10, steps: int = 100) -> dict[str, object]:
    """The learning-rate finder's curve on the tiny model, and its four suggestions."""
    learner = tiny_learner()
    if frozen:
        learner.freeze()
    with learner.no_bar():
        suggested = learner.lr_find(end_lr=max_lr, num_it=steps, suggest_funcs=SUGGESTIONS, show_plot=False)
    return {
        "max_lr": max_lr,
        "steps": steps,
        "lrs": [float(lr) for lr in learner.recorder.lrs],
        "smoothed": [float(loss) for loss in learner.recorder.losses],
        "suggestions": suggested._asdict(),
    }


def curves() -> list[dict[str, object]]:
    """Loss curves of many shapes, drawn here, and what fastai's four functions say of them."""
    generator = np.random.default_rng(0)
    drawn = []
    for number in range(12):
        n = int(generator.integers(20, 86))
        lrs = torch.tensor(np.geomspace(1e-6, 1e-6 * 10 ** (n / 12.5), n), dtype=torch.float32)
        walk = np.cumsum(generator.normal(-0.02 if number % 3 else 0.02, 0.05, n))
        losses = torch.tensor((walk - walk.min() + 0.5).round(4), dtype=torch.float32)
        suggested = {function.__name__: function(lrs, losses, n)[0] for function in SUGGESTIONS}
        drawn.append({"lrs": lrs.tolist(), "losses": losses.tolist(), "suggestions": suggested})
    return drawn


def point_scaling() -> dict[str, object]:
    """Points of an image 640 wide and 480 high, scaled as the chapter's PointBlock does."""
    points = [[0.0, 0.0], [640.0, 480.0], [320.0, 240.0], [428.581, 263.91], [639.0, 1.0]]
    scaler = PointScaler()
    scaler.sz = (640, 480)  # what it takes from the images of a data set
    scaled = scaler.encodes(TensorPoint.create(points))
    return {"size": [480, 640], "points_px": points, "points_norm": scaled.tolist()}


def head_values() -> dict[str, object]:
    """The chapter's head on fixed features, in evaluation mode."""
    torch.manual_seed(1)
    head = create_head(3, 2, lin_ftrs=[5], concat_pool=True).eval()
    maps = torch.randn(2, 3, 4, 4)
    return {"state": listed(head.state_dict()), "maps": maps.tolist(), "output": head(maps).tolist()}


def main() -> None:
    """Write the file."""
    logits = torch.linspace(-4, 4, 9)
    images, targets, model = tiny_data()
    golden = {
        "fastai": fastai.__version__,
        "settings": {"epochs": EPOCHS, "freeze_epochs": FREEZE_EPOCHS, "batch": BATCH, "base_lr": BASE_LR},
        "images": images.tolist(),
        "targets": targets.tolist(),
        "initial": listed(model.state_dict()),
        "fine_tune": run("fine_tune"),
        "one_cycle": run("one_cycle"),
        "sigmoid_range": {"logits": logits.tolist(), "output": sigmoid_range(logits, -1, 1).tolist()},
        "head": head_values(),
        "sweep": {"unfrozen": sweep(), "frozen": sweep(frozen=True), "running_away": sweep(max_lr=1e5, steps=60)},
        "curves": curves(),
        "point_scaling": point_scaling(),
    }
    OUTPUT.parent.mkdir(exist_ok=True)
    OUTPUT.write_text(json.dumps(golden) + "\n", encoding="ascii")
    print(f"{OUTPUT}: {OUTPUT.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
