"""What the names of images and of their folders say by themselves."""

import os
import re
from urllib.parse import parse_qs, unquote, urlsplit

from lightning_tasks.data.tables.near_names import IMAGES

_SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}


_OF_WHAT = re.compile(r"(?:[-_ ]?(?:set|data|images|imgs))?\d*$")


def split_of_folder(name: str) -> str:
    """Return train, val or test for a folder's name that says so: `valid`, `train2017` or `test_set`; else ""."""
    return _SPLITS.get(_OF_WHAT.sub("", name.lower(), count=1), "")


def split_of_file(stem: str) -> tuple[str, str]:
    """Return the last word of a file's name that names a split, and the split, as `train_labels`; "", "": none does."""
    words = reversed(re.split(r"[-_. ]", stem))
    return next(((word, split) for word in words if (split := split_of_folder(word))), ("", ""))


def plain_name(name: str) -> str:
    r"""Return a path with `/` in place of `\`, and of a URL the path that it has."""
    if "://" in name or name.startswith("/data/"):
        parts = urlsplit(name)
        name = parse_qs(parts.query).get("d", [unquote(parts.path)])[0]
    return name.replace("\\", "/").removeprefix("./").lstrip("/") or name


def has_ending(name: str) -> bool:
    """Return whether a name ends like an image's."""
    return os.path.splitext(name)[1].lower() in IMAGES  # noqa: PTH122 - of a million
