"""Gather the images and weights that scripts/gpu_check.sh trains with, made small, in one file.

    python scripts/gpu_pack.py --pascal data/pascal_2007 --points data/heads --weights tf_efficientnet_lite0.safetensors

PASCAL's folder holds `train.csv` and `train/`; that of the points holds `points.csv`, whose positions are moved along
as the images shrink. Without --weights the check trains from random ones. The machine that it is for has no network:
together with the wheels of scripts/gpu_wheels.sh the pack has to stay under 60 MiB. The sizes are printed, and more
than that ends with 1.
"""

import argparse
import json
import sys
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd

from lightning_tasks.atomic_write import write_whole
from lightning_tasks.cores import usable_cores
from lightning_tasks.data.images.decode import read_reduced
from lightning_tasks.data.images.opencv import cv2

ROOT = Path(__file__).parents[1]
LIMIT_MIB = 60
_POSITIONS = ("_x", "_y")


def main() -> int:
    """Pack, and say how large it is."""
    arguments = parse()
    sizes: dict[str, int] = {}

    def write(new: Path) -> None:
        with zipfile.ZipFile(new, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as pack:
            sizes["PASCAL"] = add_pascal(pack, arguments)
            sizes["points"] = add_points(pack, arguments)
            if arguments.weights is not None:
                pack.write(arguments.weights, "weights.safetensors")
                sizes["weights"] = arguments.weights.stat().st_size
            facts = {name: getattr(arguments, name) for name in ("pascal_side", "points_side", "quality")}
            pack.writestr("pack.json", json.dumps(facts))

    write_whole(arguments.output, write)
    wheels = arguments.output.parent / "wheels"
    sizes["wheels"] = sum(path.stat().st_size for path in wheels.glob("*.whl"))
    total = arguments.output.stat().st_size + sizes["wheels"]
    print(", ".join(f"{name} {size / 2**20:.1f} MiB" for name, size in sizes.items()))
    print(f"{arguments.output} and the wheels: {total / 2**20:.1f} MiB of {LIMIT_MIB}")
    return 0 if total < LIMIT_MIB * 2**20 else 1


def parse() -> argparse.Namespace:
    """Return the command line's settings."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pascal", type=Path, required=True, help="PASCAL's folder")
    parser.add_argument("--points", type=Path, required=True, help="a folder with points.csv")
    parser.add_argument("--weights", type=Path, help="of tf_efficientnet_lite0, as .safetensors")
    parser.add_argument("--output", type=Path, default=ROOT / ".gpu" / "pack.zip")
    parser.add_argument("--pascal_side", type=int, default=128, help="the shorter side, in pixels")
    parser.add_argument("--points_side", type=int, default=192)
    parser.add_argument("--pascal_images", type=int, help="at most so many of each half, from all over it")
    parser.add_argument("--points_images", type=int, help="likewise")
    parser.add_argument("--quality", type=int, default=70, help="of the JPEG files")
    return parser.parse_args()


def add_pascal(pack: zipfile.ZipFile, arguments: argparse.Namespace) -> int:
    """Add `pascal/`, and return its bytes."""
    table = thinned(read(arguments.pascal / "train.csv"), arguments.pascal_images)
    total, _ = add_images(
        pack, table, arguments.pascal / "train", "pascal/train", arguments.pascal_side, arguments.quality
    )
    return total + add_bytes(pack, "pascal/train.csv", table.to_csv(index=False).encode())


def add_points(pack: zipfile.ZipFile, arguments: argparse.Namespace) -> int:
    """Add `points/`, with the positions on the smaller images, and return its bytes."""
    table = thinned(read(arguments.points / "points.csv"), arguments.points_images)
    total, scales = add_images(pack, table, arguments.points, "points", arguments.points_side, arguments.quality)
    for column in [name for name in table.columns if name.endswith(_POSITIONS)]:
        scale = scales[:, _POSITIONS.index(column[-2:])]
        # Positions count from the centre of the first pixel.
        table[column] = ((pd.to_numeric(table[column]) + 0.5) * scale - 0.5).round(3)
    return total + add_bytes(pack, "points/points.csv", table.to_csv(index=False).encode())


def read(csv: Path) -> pd.DataFrame:
    """Return a table of text."""
    return pd.read_csv(csv, dtype=str, keep_default_na=False)


def thinned(table: pd.DataFrame, most: int | None) -> pd.DataFrame:
    """Return at most `most` rows of training and of validation each, from all over them."""
    if most is None:
        return table
    valid = table["is_valid"].str.lower().isin(("true", "1")).to_numpy()
    rows = [
        half[np.unique(np.linspace(0, len(half) - 1, most).astype(int))]
        for half in map(np.flatnonzero, (~valid, valid))
    ]
    return table.iloc[np.sort(np.concatenate(rows))].reset_index(drop=True)


def add_images(
    pack: zipfile.ZipFile, table: pd.DataFrame, source: Path, target: str, side: int, quality: int
) -> tuple[int, np.ndarray]:
    """Add a table's images, their shorter side at most `side`; return their bytes, and how x and y (N, 2) shrank."""
    encode = encoder(side, quality)
    total, scales = 0, []
    with ThreadPoolExecutor(usable_cores()) as pool:
        for name, (data, scale) in zip(
            table["fname"], pool.map(encode, [source / name for name in table["fname"]]), strict=True
        ):
            total += add_bytes(pack, f"{target}/{name}", data)
            scales.append(scale)
    return total, np.array(scales)


def encoder(side: int, quality: int) -> Callable[[Path], tuple[bytes, tuple[float, float]]]:
    """Return a function from a file to a smaller JPEG's bytes, and how x and y shrank."""
    how = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_OPTIMIZE, 1]

    def encode(path: Path) -> tuple[bytes, tuple[float, float]]:
        image, (height, width) = read_reduced(path, side)
        data = cv2.imencode(".jpg", image[:, :, ::-1], how)[1].tobytes()
        return data, (image.shape[1] / width, image.shape[0] / height)

    return encode


def add_bytes(pack: zipfile.ZipFile, name: str, data: bytes) -> int:
    """Add a file, and return its size."""
    pack.writestr(name, data)
    return len(data)


if __name__ == "__main__":
    sys.exit(main())
