"""The server's addresses, and what it answers of itself; of images, see `OutputFormat.schema`."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from fastapi import FastAPI, Request, Response
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import HTMLResponse, JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import ClientDisconnect

import lightning_tasks
from lightning_tasks.deploy.predictor import Predictor
from lightning_tasks.deploy.server.limits import ConcurrencyLimiter, Limits, Memory
from lightning_tasks.deploy.server.pages import docs_page, try_page
from lightning_tasks.deploy.server.security import Guard
from lightning_tasks.deploy.server.upload import FIELDS, FORM, RAW, decode_upload, image_bytes
from lightning_tasks.errors import LightningTasksError

_DESCRIPTION = """\
Send an image to /predict, as it is or as the file 'image' of a form:

    curl --data-binary @a.jpg http://HOST:PORT/predict
    curl -F image=@a.jpg    http://HOST:PORT/predict

A refusal says why in `detail`. Nothing that is sent is kept."""
_IMAGE = {"type": "string", "format": "binary"}
_BODY = {
    "required": True,
    "content": {kind: {"schema": _IMAGE} for kind in RAW}
    | {FORM: {"schema": {"type": "object", "minProperties": 1, "properties": dict.fromkeys(FIELDS, _IMAGE)}}},
}
_REFUSALS = {
    400: "The form cannot be read, or the server is asked under a name that is not its own.",
    403: "A page of another site asks.",
    408: "The image takes too long to arrive.",
    413: "The body is too large, or the image has too many pixels.",
    415: "The body's type is none of an image.",
    422: "The body is no image, or is cut short.",
    500: "The model fails.",
    503: "Too many images wait; the header Retry-After says when to come again.",
}
_CLIENT_HAS_GONE = Response(status_code=499)  # nobody reads it


class ModelAnswer(BaseModel):
    """What the model predicts (its `labels` with their thresholds, its `points`, ...), and how this server runs it."""

    model_config = ConfigDict(extra="allow")

    name: str = Field(description="The checkpoint's file name.")
    seen_height_px: int = Field(description="Of what the network sees of an image.")
    seen_width_px: int
    max_mb: float
    max_megapixels: float
    versions: dict[str, str]


class HealthAnswer(BaseModel):
    """That the server answers, and how busy it is."""

    status: str
    running: int
    waiting: int


class Refusal(BaseModel):
    """Why there is no answer: one sentence, and what to do."""

    detail: str


def make_app(
    predictor: Predictor, limits: Limits, name: str, hosts: Sequence[str] | None = None, origins: Sequence[str] = ()
) -> FastAPI:
    """Return an application that answers with what `predictor` says; `name` is for people. See also `Guard`."""
    model = _describe(predictor, limits, name)
    limiter, memory = ConcurrencyLimiter(limits.concurrency, limits.queue), Memory(limits.held_bytes)
    # Threads of our own, which stay: those that come and go would each leave torch's memory behind.
    pool = ThreadPoolExecutor(limits.concurrency, thread_name_prefix="predict")
    app = FastAPI(
        title=name, description=_DESCRIPTION, version=lightning_tasks.__version__, docs_url=None, redoc_url=None
    )
    if origins:
        app.add_middleware(
            CORSMiddleware, allow_origins=origins, allow_methods=("GET", "POST"), allow_headers=("Content-Type",)
        )
    app.add_middleware(Guard, hosts=hosts, origins=origins)  # the last one is asked first
    app.add_exception_handler(LightningTasksError, _model_fails)
    app.add_exception_handler(Exception, _server_fails)

    def answer(data: bytes) -> dict[str, Any]:
        image = decode_upload(data, limits, predictor.white_level)
        answered = predictor.output_format.answer(predictor(image))
        return {**answered, "width_px": image.shape[1], "height_px": image.shape[0]}

    @app.post(
        "/predict",
        summary="What the model says of an image: JPEG, PNG, WebP, AVIF, HEIC, GIF or BMP.",
        response_model=predictor.output_format.schema,
        responses={status: {"model": Refusal, "description": text} for status, text in _REFUSALS.items()},
        openapi_extra={"requestBody": _BODY},
    )
    async def predict(request: Request) -> Any:  # noqa: ANN401 - the answer, or a response that nobody reads
        with memory.share() as take:
            try:
                data = await image_bytes(request, limits, take)
            except ClientDisconnect:
                return _CLIENT_HAS_GONE
            async with limiter.slot():
                if await request.is_disconnected():
                    return _CLIENT_HAS_GONE
                return await asyncio.get_running_loop().run_in_executor(pool, answer, data)

    @app.get("/model", summary="What the model knows, and this server's limits.", response_model=ModelAnswer)
    async def describe() -> ModelAnswer:
        return model

    @app.get("/health", summary="Whether the server answers, and how busy it is.", response_model=HealthAnswer)
    async def health() -> HealthAnswer:
        return HealthAnswer(status="ok", running=limiter.running, waiting=limiter.waiting)

    _add_page(app, "/", *try_page(model, predictor.output_format))
    _add_page(app, "/docs", *docs_page(app.openapi()))
    return app


def _add_page(app: FastAPI, path: str, html: str, policy: str) -> None:
    @app.get(path, include_in_schema=False)
    async def show() -> HTMLResponse:
        return HTMLResponse(html, headers={"Content-Security-Policy": policy})


def _describe(predictor: Predictor, limits: Limits, name: str) -> ModelAnswer:
    height, width = predictor.module.preprocess.window.size
    return ModelAnswer(
        name=name,
        **predictor.output_format.as_json(),
        seen_height_px=height,
        seen_width_px=width,
        max_mb=limits.max_bytes / 1e6,
        max_megapixels=limits.max_pixels / 1e6,
        versions={"lightning-tasks": lightning_tasks.__version__, "torch": torch.__version__},
    )


async def _model_fails(request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"detail": str(error)}, 500)


async def _server_fails(request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"detail": "The server failed at this image; its log says why."}, 500)
