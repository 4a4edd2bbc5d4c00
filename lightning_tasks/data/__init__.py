"""From files to batches. Knows no task."""

from lightning_tasks.data.images import opencv as opencv  # first: it sets the stage for every import of albumentations
