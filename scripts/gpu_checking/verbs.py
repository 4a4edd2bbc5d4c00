"""What is done with a checkpoint: on the device, from the command line."""

import re

from gpu_checking.step import Check, each, run


def verbs(check: Check) -> None:
    """Run them on the checkpoints of the step `train`, or on others where there are none."""
    labels, points = (str(check.trained(name)) for name in ("labels", "points"))
    out = check.work / "verbs"
    out.mkdir(exist_ok=True)

    def export(form: str, suffix: str) -> list[str]:
        said = check.command("export", labels, "--format", form, "--output", str(out / f"labels{suffix}"))
        return [line.strip() for line in said.splitlines() if "bound" in line or "an image at a time" in line]

    each(
        check,
        {
            "validate": lambda: scores(check.command("validate", labels, "--trainer.enable_progress_bar", "false")),
            "validate_points": lambda: scores(
                check.command("validate", points, "--trainer.enable_progress_bar", "false")
            ),
            "thresholds": lambda: check.command(
                "thresholds", labels, "--output", str(out / "thresholds.ckpt")
            ).splitlines()[-6:],
            "report": lambda: check.command("report", labels, "--output", str(out / "report.html")).strip()[-40:],
            "onnx": lambda: export("onnx", ".onnx"),
            "torch": lambda: export("torch", ".pt2"),
        },
    )


def scores(said: str) -> dict[str, float]:
    """Return the scores from the table that Lightning prints."""
    found = re.findall(r"(val/\S+)\s+│?\s+([\d.eE+-]+)", said)
    if not found:
        raise ValueError(f"no scores in {said[-300:]!r}")
    return {name: float(value) for name, value in found}


if __name__ == "__main__":
    run(verbs)
