"""What a reader of a format is to everybody else."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

from lightning_tasks.data.tables.formats.annotations import Annotations
from lightning_tasks.data.tables.formats.source import Source

MinusOne = Literal["auto", "unknown", "absent"]


@dataclass(frozen=True)
class ReadOptions:
    """What the user says of the files. A reader uses what its format needs.

    Args:
        images: the folder of the images; None: found beside the annotations.
        columns: the file's own names for our columns, such as {"fname": "image_id"}; in JSON of the fields.
        encoding: of text without a mark that says it; None: UTF-8.
        label_separator: stands between labels in a cell; `auto`: guessed.
        none: labels that say that an image has none of the others, such as "No Finding".
        minus_one: what −1 in a one-hot column says of a label; `auto`: absent where all cells are 1 or −1, else
            unknown.
        workspace: a folder, which may not exist yet, for images that the annotations themselves hold.
    """

    images: Path | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    encoding: str | None = None
    label_separator: str = "auto"
    none: Sequence[str] = ()
    minus_one: MinusOne = "auto"
    workspace: Path = Path("images")


class Reader(ABC):
    """One format: how its files are known, and what they say."""

    name: ClassVar[str]  # for --format
    about: ClassVar[str]  # a line for a person: what is read
    reads_columns: ClassVar[bool] = False  # whether it uses `ReadOptions.columns`

    @abstractmethod
    def recognises(self, source: Source) -> bool:
        """Return whether this is the format, by the content and not by names alone. Raises nothing."""

    @abstractmethod
    def read(self, source: Source, options: ReadOptions) -> Annotations:
        """Return what the files say.

        Raises:
            LightningTasksError: something in them cannot be used; names file, line or entry, and what to do.
        """
