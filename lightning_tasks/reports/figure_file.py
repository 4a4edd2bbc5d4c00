"""Images that are drawn for people to look at: written in any format, and known again by their mark."""

from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from PIL import ExifTags
from PIL import Image as Pillow

from lightning_tasks.atomic_write import require_place, write_whole
from lightning_tasks.errors import ConfigError
from lightning_tasks.reports.canvas import letter_figure

DRAWN = "drawn by lightning-tasks"  # stands near an end of each image that is written for people to look at
_NEAR_AN_END = 1024  # bytes
_WITH_EXIF = frozenset(("jpg", "jpeg", "tif", "tiff", "webp", "avif"))


def require_figure_place(path: Path) -> None:
    """Do as `require_place`, and raise ConfigError too where matplotlib knows no format of the name's ending."""
    known = Figure().canvas.get_supported_filetypes()
    if path.suffix and path.suffix[1:].lower() not in known:
        endings = ", ".join(sorted(known))
        raise ConfigError(f"{path} cannot be written (an image ends in {endings}). Choose another place or name.")
    require_place(path)


def write_figure(path: Path, figure: Figure) -> None:
    """Write an image in the format that the name ends in, PNG without an ending. Errors: see `write_whole`."""
    letter_figure(figure)
    form = path.suffix[1:].lower() or "png"
    write_whole(path, lambda new: figure.savefig(new, dpi=110, format=form, **_mark(form)))


def is_drawn(image: Path) -> bool:
    """Return whether a file is an image that this program has written for people to look at."""
    try:
        with image.open("rb") as file:
            ends = file.read(_NEAR_AN_END)
            file.seek(max(0, image.stat().st_size - _NEAR_AN_END))  # WebP has its texts behind the pixels
            return DRAWN.encode() in ends or DRAWN.encode() in file.read()
    except OSError:
        return False


def _mark(form: str) -> dict[str, Any]:
    """Return what `savefig` is to be given so that `is_drawn` knows the file."""
    exif = Pillow.Exif()
    exif[ExifTags.Base.Software] = DRAWN
    marks = {"png": {"metadata": {"Software": DRAWN}}, "gif": {"pil_kwargs": {"comment": DRAWN}}}
    return (marks | {kind: {"pil_kwargs": {"exif": exif}} for kind in _WITH_EXIF}).get(form, {})
