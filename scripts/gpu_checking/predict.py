"""Images a second from files: of the verb, and of a predictor that is loaded."""

import re
import time
from functools import partial
from typing import Any

from gpu_checking.step import Check, each, run
from lightning_tasks import load

_PATTERNS = {"labels": "train/00[01]*.jpg", "points": "**/*1*.[jp][pn]g"}  # some thousand images each


def predict(check: Check) -> None:
    """Predict the pack's images with the checkpoints of the step `train`, or with others where there are none."""
    each(check, {name: partial(of_task, check, name) for name in _PATTERNS})


def of_task(check: Check, name: str) -> dict[str, Any]:
    """Return the images/s of the verb, when it is called for the second time, and of a predictor on as many paths."""
    checkpoint = str(check.trained(name))
    folder = check.root("labels" if name == "labels" else "points")
    pattern = str(folder / _PATTERNS[name])
    arguments = ["predict", checkpoint, pattern, "--output", str(check.work / f"{name}.csv"), "--device", check.device]
    for _ in range(2):
        began = time.perf_counter()
        said = check.command(*arguments, "--progress", "false")
        verb_s = time.perf_counter() - began
    n = int(re.search(r"\(([\d,]+) ", said)[1].replace(",", ""))  # type: ignore[index]  # the line is always there
    predictor = load(checkpoint, check.device)
    paths = sorted(folder.glob(_PATTERNS[name]))
    predictor(paths[:64])
    began = time.perf_counter()
    predictor(paths)
    loaded_s = time.perf_counter() - began
    return {"images": n, "verb_images_s": round(n / verb_s), "predictor_images_s": round(n / loaded_s)}


if __name__ == "__main__":
    run(predict)
