"""What has come of an archive: a hidden file beside the data, and a note of where it came from."""

import json
from pathlib import Path
from typing import NamedTuple


class Origin(NamedTuple):
    """Where a partial file came from, so that nothing else is glued to it."""

    archive: str
    address: str
    validator: str | None  # the server's ETag, or time of change
    total_bytes: int | None  # of the whole


class Partial:
    """A file that grows until it is whole, over several runs if need be.

    Args:
        path: of the file. The note lies beside it, with `.json` at the end.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._note = path.with_name(f"{path.name}.json")

    @property
    def origin(self) -> Origin | None:
        """Where it came from; None: there is none that could be resumed."""
        try:
            noted = Origin(**json.loads(self._note.read_text(encoding="utf-8")))
        except (FileNotFoundError, ValueError, TypeError):  # TypeError: not the fields of an Origin
            return None
        return noted if self.path.is_file() else None

    @property
    def size_bytes(self) -> int:
        """How much has come."""
        return self.path.stat().st_size if self.origin is not None else 0

    @property
    def is_whole(self) -> bool:
        """Whether nothing is missing, as far as is known."""
        origin = self.origin
        return origin is not None and self.size_bytes == origin.total_bytes

    def start(self, origin: Origin) -> None:
        """Begin anew with an empty file."""
        self.discard()
        self.note(origin)
        self.path.touch()

    def note(self, origin: Origin) -> None:
        """Write down where it came from. A note that a kill cuts short counts as none."""
        self._note.write_text(json.dumps(origin._asdict()), encoding="utf-8")

    def discard(self) -> None:
        """Remove it."""
        self.path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)
