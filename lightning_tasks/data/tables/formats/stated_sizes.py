"""Whether images have the size that their annotations say: if not, their positions lie elsewhere.

It happens where images were made smaller after they were annotated, and where a tool took a photo as it is stored, and
not turned upright as EXIF says.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from lightning_tasks.data.images.decode import Size, file_size_px
from lightning_tasks.data.tables.formats.annotations import AnnotatedImage, Annotations
from lightning_tasks.errors import TableError

_LOOKED_AT = 2_000  # headers of images: half a second
_THREADS = 8  # they wait for the disk


def stated_size(width: object, height: object) -> tuple[float, float] | None:
    """Return a size as annotations have it; None where they have none, or what is none."""
    try:
        size = float(str(width)), float(str(height))
    except ValueError:
        return None
    return size if min(size) > 0 and max(size) < float("inf") else None


def require_stated_sizes(annotations: Annotations, images: Sequence[AnnotatedImage]) -> None:
    """Compare the sizes of images that are there, of many of a share.

    Raises:
        TableError: one is another; names the first, and says how many there are.
    """
    stated = [image for image in images if image.size_px is not None]
    looked_at = stated[:: -(-len(stated) // _LOOKED_AT) or 1]
    with ThreadPoolExecutor(_THREADS) as threads:
        sizes = threads.map(lambda image: file_size_px(annotations.folder / image.name), looked_at)
        told = [_difference(image, size) for image, size in zip(looked_at, sizes, strict=True)]
    if wrong := [i for i, difference in enumerate(told) if difference]:
        image = looked_at[wrong[0]]
        raise TableError(
            f"{image.where}: {annotations.folder / image.name} {told[wrong[0]]}. {len(wrong):,} of {len(looked_at):,} "
            "images that were looked at have another size: their points would lie elsewhere. --images names the folder "
            "of the images that were annotated."
        )


def _difference(image: AnnotatedImage, size: Size | None) -> str:
    """Return how an image's size differs from what was annotated; "" where it does not, or is not known."""
    if image.size_px is None or size is None or image.size_px == size[::-1]:
        return ""
    stated = "×".join(f"{side:g}" for side in image.size_px)
    return f"was annotated at {stated} pixels and has, upright, {size[1]}×{size[0]}"
