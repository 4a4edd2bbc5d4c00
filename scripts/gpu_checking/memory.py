"""Out of memory on purpose: the message says what to do, and the next training runs."""

import resource
from pathlib import Path

import lightning_tasks.cli  # noqa: F401 - all that it maps is not to count
from gpu_checking.step import Check, run

_LARGE = ("--model.backbone", "resnet152", "--model.weights", "null", "--data.size", "448", "--data.batch_size", "600")
_ROOM_BYTES = 3 << 30  # for a CPU, whose memory a batch must not fill in earnest


def memory(check: Check) -> None:
    """Train with a batch that is too large, then with one that is not."""
    large = list(_LARGE)
    if check.device == "cpu":
        large[-1] = "32"
        used = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
        before = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (used + _ROOM_BYTES, before[1]))
    said = check.command(*check.arguments("fit", "labels", "too_large", *large), code=2)
    check.note(said=said.strip().splitlines()[-1])
    if check.device == "cpu":
        resource.setrlimit(resource.RLIMIT_AS, before)
    if "--data.batch_size" not in said:
        raise SystemExit("the message does not say what to do")
    check.free()
    short = ["--trainer.max_epochs", "1", "--trainer.limit_train_batches", "2", "--trainer.limit_val_batches", "1"]
    check.command(*check.arguments("fit", "labels", "after", *short))
    check.note(after="trained")


if __name__ == "__main__":
    run(memory)
