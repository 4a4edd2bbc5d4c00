"""The learning-rate finder's suggestions, on the device and on the CPU."""

import re
from functools import partial

from gpu_checking.step import CONF, Check, each, run


def finder(check: Check) -> None:
    """Sweep on both."""
    steps = ["--steps", "25"] if check.tiny else []
    frozen = ["--config", str(CONF / "fine_tune.yaml")]

    def sweep(device: str) -> dict[str, float]:
        said = check.command(*check.arguments("lr_find", "labels", f"find_{device}", *steps, *frozen, device=device))
        found = re.search(r"learning rates +(.*)", said)
        words = found[1].split() if found else []
        return dict(zip(words[::2], map(float, words[1::2]), strict=True))

    each(check, {device: partial(sweep, device) for device in dict.fromkeys((check.device, "cpu"))})


if __name__ == "__main__":
    run(finder)
