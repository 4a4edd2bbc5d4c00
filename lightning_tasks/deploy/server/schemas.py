"""What the server answers of itself, as it stands in its OpenAPI description; of images, see `OutputFormat.schema`."""

from pydantic import BaseModel, ConfigDict, Field


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
