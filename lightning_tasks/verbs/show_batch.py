"""Training images as the model will see them."""

from matplotlib.figure import Figure

from lightning_tasks.data.datamodule import ImageDataModule
from lightning_tasks.tasks.registry import task_of


def show_batch(datamodule: ImageDataModule, n: int, originals: bool) -> Figure:
    """Draw the first n images of a training batch with what is annotated.

    Args:
        datamodule: whose training split is shown.
        n: how many images.
        originals: each with the untouched image on its left.

    Raises:
        ConfigError: the data is of no task that is known here.
    """
    task = task_of(datamodule)
    batch = datamodule.one_batch()
    return task.draw_batch(type(batch)(*(tensor[:n] for tensor in batch)), datamodule, originals)
