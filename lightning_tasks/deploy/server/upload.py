"""From a request to the bytes of its image, within limits of size, time and memory."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable

from fastapi import HTTPException, Request
from python_multipart.exceptions import FormParserError
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect

from lightning_tasks.deploy.server.limits import Limits

FIELDS = ("image", "file", "picture")  # of a form; the second is what many programs call any, the last the name before
FORM = "multipart/form-data"
RAW = ("image/*", "application/octet-stream", "application/x-www-form-urlencoded")  # the last: what curl says of any
_OTHER_FIELDS = 8


class _InMemory(MultiPartParser):
    spool_max_size = 0  # images are never written to the disk


async def image_bytes(request: Request, limits: Limits, take: Callable[[int], None]) -> bytes:
    """Return the bytes of the request's image: its body, or the file `image` or `file` of its form.

    Args:
        request: of which nothing has been read.
        limits: of size and time.
        take: is told how many bytes are held, before they are.

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
