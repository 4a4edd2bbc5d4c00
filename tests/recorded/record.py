"""Write the images, checkpoints and answers below this folder anew, by the code as it is.

Part of no test: run it on purpose alone. What lies here was said by an earlier version, and tests/test_recorded.py
holds later ones to it: record anew only where an answer is meant to change, and look at the difference. What has only
got another name stands in `RENAMED` of compare.py instead, and what is asked with other options in answers.py.

  python -m tests.recorded.record              all of it, with new checkpoints
  python -m tests.recorded.record --answers    the answers of the checkpoints that lie here
"""

import argparse
import contextlib
import os
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw

HERE = Path(__file__).parent
CONF = HERE.parents[1] / "conf"
SIZES = {
    "upright": (40, 52),
    "wide": (64, 36),
    "tall": (33, 60),
    "turned": (56, 40),
    "grey": (48, 48),
    "tiny": (20, 17),
}
SIZES |= dict.fromkeys(("u", "v", "w", "x", "y", "z"), (44, 44))  # width and height as stored
VALID = ("wide", "turned", "grey", "u", "v", "w")
TINY = [
    *("--data.root", "data", "--data.num_workers", "0", "--data.batch_size", "3", "--model.pretrained", "false"),
    *("--trainer.max_epochs", "20", "--trainer.callbacks", "null", "--model.lr", "0.01", "--runs_dir", "runs"),
]
FITS = {
    "labels": ["multilabel.yaml", "--model.backbone", "local-dir:network", "--data.size", "64"],
    "one_label": [
        *(
            "multilabel.yaml",
            "--model.backbone",
            "test_efficientnet",
            "--data.size",
            "64",
            "--data.csv",
            "one_label.csv",
        ),
        *("--model.loss", "cross_entropy", "--model.head", "linear", "--checkpoint.monitor", "val/loss"),
        *("--checkpoint.mode", "min"),
    ],
    "points": ["keypoints.yaml", "--model.backbone", "local-dir:network", "--data.size", "[48,64]"],
    "heatmap": [
        *("keypoints.yaml", "--config", str(CONF / "heatmap.yaml"), "--model.backbone", "local-dir:network"),
        *("--data.size", "[64,64]"),
    ],
}
FITS = {name: words + ["--data.swap_pairs", "[[l,r]]"] * ("keypoints" in words[0]) for name, words in FITS.items()}


def draw(folder):
    """Draw images with a disc and a bar, and write their tables."""
    rng = np.random.default_rng(23)
    labels, one_label, points = (
        ["fname,labels,group,is_valid"],
        ["fname,labels,is_valid"],
        ["fname,group,is_valid,l_x,l_y,r_x,r_y"],
    )
    for number, (name, (width, height)) in enumerate(SIZES.items()):
        image = Image.new("RGB", (width, height), tuple(rng.integers(0, 256, 3).tolist()))
        canvas = ImageDraw.Draw(image)
        for line in range(height):  # no two sides are alike
            canvas.line([0, line, width, line], fill=(120, 3 * line % 256, 200 - 2 * line))
        canvas.polygon([(0, 0), (width // 3, 0), (0, height // 3)], fill=tuple(rng.integers(0, 256, 3).tolist()))
        x, y, radius = int(width * rng.uniform(0.2, 0.4)), int(height * rng.uniform(0.3, 0.7)), min(width, height) // 6
        far = int(width * rng.uniform(0.6, 0.8))
        disc, bar = number % 3 != 0, number % 2 == 0
        if disc:
            canvas.ellipse([x - radius, y - radius, x + radius, y + radius], fill=(230, 40, 30))
        if bar:
            canvas.rectangle([far, y - radius, far + radius, y + radius], fill=(20, 60, 240))
        save(image, folder / f"{name}.png")
        group, valid = f"g{number % 2}", name in VALID
        has = " ".join(label for label, there in (("disc", disc), ("bar", bar), ("dark", number % 5 < 2)) if there)
        labels.append(f"{name}.png,{has},{group},{valid}")
        one_label.append(f"{name}.png,{'disc' if disc and bar else 'bar' if bar else 'none of them'},{valid}")
        right = "," if name == "u" else f"{far},{y}"  # not seen
        points.append(f"{name}.png,{group},{valid},{x},{y},{right}")
    (folder / "broken.png").write_bytes((folder / "wide.png").read_bytes()[:60])
    for name, lines in {"labels": labels, "one_label": one_label, "points": points}.items():
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n")


def save(image, path):
    """Write a PNG; `turned` says in its EXIF that it is to be turned by 90°, `grey` has one channel."""
    exif = Image.Exif()
    if path.stem == "turned":
        exif[0x0112] = 6
    (image.convert("L") if path.stem == "grey" else image).save(path, exif=exif)


def train(variant):
    """Train for a second or two, and keep what is small: the best weights, and of one run its last state."""
    from lightning_tasks.__main__ import console
    from tests.recorded.answers import CPU

    config, *more = FITS[variant]
    words = ["fit", "--config", str(CONF / config), *TINY, *CPU, *more, "--run_name", variant]
    if "heatmap" in variant:
        words += ["--data.batch_size", "3"]
    if variant == "one_label":
        words += ["--data.label_separator", "none"]
    assert console(words) == 0
    folder = Path("runs", variant, "version_0")
    for file in [path for path in folder.rglob("*") if path.is_file()]:
        if file.name not in ("config.yaml", "metrics.csv", "best.ckpt") and (variant, file.name) != (
            "labels",
            "last.ckpt",
        ):
            file.unlink()
    best = folder / "checkpoints" / "best.ckpt"
    content = torch.load(best, weights_only=True)
    content["optimizer_states"], content["lr_schedulers"] = [], []
    torch.save(content, best)


def record(checkpoints):
    """Make it all in a folder of its own, and put it here when it is complete."""
    os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp()
    from tests.recorded.answers import ANSWERS
    from tests.recorded.compare import in_order, masked

    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        if checkpoints:
            Path("data").mkdir()
            draw(Path("data"))
            shutil.copytree(HERE / "network", "network")
            for variant in FITS:
                train(variant)
            for name in ("data", "runs"):
                shutil.rmtree(HERE / name, ignore_errors=True)
                shutil.copytree(name, HERE / name)
        for (variant, name), ask in ANSWERS.items():
            work = Path(folder, "work")
            shutil.rmtree(work, ignore_errors=True)
            for part in ("data", "runs"):
                shutil.copytree(HERE / part, work / part)
            with contextlib.chdir(work):
                said = in_order(name, masked(ask(variant)))
            (HERE / "answers" / variant).mkdir(parents=True, exist_ok=True)
            (HERE / "answers" / variant / name).write_text(said, encoding="utf-8")
    shutil.rmtree(os.environ["XDG_CACHE_HOME"], ignore_errors=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--answers", action="store_true", help="keep the checkpoints that lie here")
    sys.exit(record(checkpoints=not parser.parse_args().answers))
