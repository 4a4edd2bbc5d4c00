"""What lay among the images and was not predicted, in words."""

from collections import Counter
from dataclasses import dataclass, field

_LISTED = 5
_HEIC = (".heic", ".heif", ".hif")
_RAW = (".arw", ".cr2", ".cr3", ".dng", ".nef", ".orf", ".raf", ".rw2")


@dataclass
class LeftOut:
    """Counts of files by kind, and reasons by path."""

    endings: Counter[str] = field(default_factory=Counter)  # lower case with the dot; "": none
    unreadable: dict[str, str] = field(default_factory=dict)  # folders that may not be entered
    folders: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    apple_double: int = 0  # ._x.jpg: what macOS keeps beside x.jpg on other file systems
    drawn: int = 0  # by ourselves

    def add(self, other: "LeftOut") -> None:
        """Take in what another search left out."""
        self.endings += other.endings
        self.unreadable |= other.unreadable
        self.folders |= other.folders
        self.files |= other.files
        self.apple_double += other.apple_double
        self.drawn += other.drawn

    def lines(self) -> list[str]:
        """Return sentences; none where nothing was left out."""
        lines = []
        if self.endings:
            listed = ", ".join(f"{n:,} {ending or 'without an ending'}" for ending, n in self.endings.most_common())
            lines.append(f"{listed}: by their names no images that can be read. Name such a file itself to try it.")
        if any(ending in self.endings for ending in _HEIC):
            lines.append("HEIC: convert such files, with `heif-convert a.heic a.jpg` or `magick a.heic a.jpg`.")
        if any(ending in self.endings for ending in _RAW):
            lines.append("Raw files of cameras: develop them to JPEG or TIFF first.")
        for paths in (self.unreadable, self.folders, self.files):
            lines += [f"{path}: {why}." for path, why in list(paths.items())[:_LISTED]]
            lines += [f"... and {len(paths) - _LISTED:,} more like it."] if len(paths) > _LISTED else []
        if self.apple_double:
            lines.append(f"{self.apple_double:,} ._*: notes that macOS keeps beside files.")
        if self.drawn:
            lines.append(f"{self.drawn:,} that this program has drawn itself.")
        return lines
