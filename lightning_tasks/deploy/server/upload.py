"""From a request to the bytes and the pixels of its image, within limits of size, time and memory."""

import asyncio
import contextlib
import io
from collections.abc import AsyncGenerator, Callable

from fastapi import HTTPException, Request
from PIL import Image as Pillow
from python_multipart.exceptions import FormParserError
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect

from lightning_tasks.data.images.decode import decode_image
from lightning_tasks.data.images.pillow import Image, is_heif, needs_heif, open_header
from lightning_tasks.deploy.server.limits import MAX_SIDE_PX, Limits
from lightning_tasks.errors import ImageError, UnknownValuesError

FIELDS = ("image", "file", "picture")  # of a form; the second is what many programs call any, the last the name before
FORM = "multipart/form-data"
RAW = ("image/*", "application/octet-stream", "application/x-www-form-urlencoded")  # the last: what curl says of any
_OTHER_FIELDS = 8
# What browsers show and phones write. A TIFF or a JPEG 2000 may ask for far more memory than its size says.
FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "HEIF", "GIF", "BMP")


class _InMemory(MultiPartParser):
    spool_max_size = 0  # images are never written to the disk


async def image_bytes(request: Request, limits: Limits, take: Callable[[int], None]) -> bytes:
    """Return the bytes of the request's image: its body, or the file `image` or `file` of its form.

    Nothing of the request has been read; `take` is told how many bytes are held, before they are.

    Raises:
        HTTPException: 400, 408, 413, 415, 422 or 503; once the body has been read, where that does not take long.
        ClientDisconnect: the client has gone.
    """
    try:
        async with asyncio.timeout(limits.body_s):
            return await _read(request, limits, take)
    except TimeoutError as error:
        message = f"The image did not arrive within {limits.body_s:g} seconds. Send a smaller one."
        raise HTTPException(408, message, {"Connection": "close"}) from error
    except HTTPException:
        await _drain_body(request, limits.drain_timeout_s)
        raise


async def _read(request: Request, limits: Limits, take: Callable[[int], None]) -> bytes:
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    is_form = content_type == FORM
    if not (is_form or not content_type or content_type in RAW or content_type.startswith("image/")):
        raise HTTPException(
            415,
            f"A body of type {content_type} is no image. Send a form with the file '{FIELDS[0]}', or the image "
            "itself as image/jpeg or the like.",
        )
    if int(request.headers.get("content-length", 0)) > limits.max_bytes:
        raise _too_large(limits)
    chunks = _chunks(request, limits, take)
    data = await _read_form(request, chunks) if is_form else b"".join([chunk async for chunk in chunks])
    if not data:
        raise HTTPException(422, "There is no image: the body is empty. Send the bytes of an image's file.")
    return data


async def _chunks(request: Request, limits: Limits, take: Callable[[int], None]) -> AsyncGenerator[bytes, None]:
    read = 0
    async for chunk in request.stream():
        read += len(chunk)
        if read > limits.max_bytes:
            raise _too_large(limits)
        take(len(chunk))
        yield chunk


async def _read_form(request: Request, chunks: AsyncGenerator[bytes, None]) -> bytes:
    try:
        form = await _InMemory(request.headers, chunks, max_files=1, max_fields=_OTHER_FIELDS).parse()
    except (MultiPartException, FormParserError) as error:  # the second: older starlettes let it through
        raise HTTPException(400, f"The form cannot be read: {error}") from error
    files = [file for name in FIELDS if isinstance(file := form.get(name), UploadFile)]
    if not files:
        raise HTTPException(422, f"The form has no file {' or '.join(map(repr, FIELDS))}. Name the image's field so.")
    return await files[0].read()


async def _drain_body(request: Request, timeout_s: float) -> None:
    """Read the rest of the body and forget it: who still sends when the connection is closed never sees the answer."""
    if request.headers.get("expect", "").lower() == "100-continue":
        return  # it waits for leave to send
    with contextlib.suppress(ClientDisconnect, TimeoutError, RuntimeError):  # the last: all has been read
        async with asyncio.timeout(timeout_s):
            async for _ in request.stream():
                pass


def _too_large(limits: Limits) -> HTTPException:
    return HTTPException(413, f"A body may have {limits.max_bytes / 1e6:g} MB at most. Send a smaller image.")


def decode_upload(data: bytes, limits: Limits, white_level: int | None = None) -> Image:
    """Return a file's bytes as (H, W, 3) uint8 RGB: the pixels that the file itself would give.

    Raises:
        HTTPException: 413, it has too many pixels; 422, it is no image, or cut short, or nothing says what is white.
    """
    too_many = f"An image may have {limits.max_pixels / 1e6:g} megapixels at most, and {MAX_SIDE_PX:,} on a side"
    try:
        header = open_header(io.BytesIO(data), FORMATS)
    except Pillow.DecompressionBombError as error:
        raise HTTPException(413, f"{too_many}.") from error
    if header is None:
        if is_heif(data) and (missing := needs_heif("The image")) is not None:
            raise HTTPException(422, str(missing))
        kinds = "a JPEG, PNG, WebP, AVIF, HEIC, GIF or BMP image"
        raise HTTPException(422, f"This is not {kinds}, or it is cut short. Send a whole one of these.")
    width, height = header.size
    if width * height > limits.max_pixels or max(width, height) > MAX_SIDE_PX:
        raise HTTPException(413, f"{too_many}; this one has {width:,}×{height:,}. Send a smaller one.")
    try:
        return decode_image(data, "the image", 0, limits.max_pixels, white_level).image
    except UnknownValuesError as error:
        raise HTTPException(422, str(error)) from error
    except ImageError as error:
        message = "The image cannot be decoded: it is cut short or damaged. Send the whole file."
        raise HTTPException(422, message) from error
